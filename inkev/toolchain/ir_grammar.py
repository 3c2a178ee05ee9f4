"""LLVM IR as text, read: just as much grammar as joining needs, one line at a time.

Bodies are never renamed by text; only the tails of global-definition lines, function headers, and two known patterns of
inline assembly are rewritten, and LLVM parses and verifies the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inkev.toolchain.ir_text import quote_bytes

_NAME = r'@("(?:[^"\\]|\\[0-9a-fA-F]{2})+"|[-a-zA-Z$._0-9]+)'
_GLOBAL = re.compile(rf"^{_NAME} = (.*)$")
_DEFINE = re.compile(rf"^define [^@]*{_NAME}\(")
_SECTION = re.compile(r', section "([^"]*)"')
_FUNCTION_SECTION = re.compile(r' section "([^"]*)"')
_HEAD = re.compile(r"^(.*?\b(?:global|constant) )")
_TAIL = re.compile(
    r'((?:, section "[^"]*")?)((?:, comdat(?:\([^)]*\))?)?(?:, align \d+)?(?:, ![\w.]+ !\d+)*(?: #\d+)?)$'
)
_ALIAS = re.compile(rf"^{_NAME} = [^\"]*?\b(alias|ifunc) ")
_DBG = re.compile(r", !dbg !\d+")

_HEADERS = re.compile(r"^(?:@|define ).*$", re.MULTILINE)
_SUSPECT = (" asm ", "\nmodule asm ", " alias ", " ifunc ")
"""Words without which a module needs no closer look."""
_ASM_LOAD = re.compile(
    r'^(\s*)(%[\w.]+) = (?:tail )?call (\w+) asm sideeffect "\$0 = \*\((u8|u16|u32|u64) \*\)\(\$1 \+ \$2\)", "=r,r,i"'
    r"\((?:\w+ )*?ptr (?:\w+ )*([%@][\w.]+), i(?:32|64) (\d+)\)(.*)$"
)
_ASM_TAIL_CALL = re.compile(
    r'^(\s*)(?:tail )?call void asm sideeffect "r1 = \$0\\0A\\09r2 = \$1\\0A\\09r3 = \$2\\0A\\09call 12", "[^"]*"'
    r"\(ptr (?:\w+ )*([%@][\w.]+), ptr (?:\w+ )*([%@][\w.]+), i(?:32|64) (\d+)\)(.*)$"
)
_HARMLESS_ASM = re.compile(r' asm (?:sideeffect )?"", ')
_VARIABLE_PLACE = re.compile(r"\s+(?:(?:tail )?call void @llvm\.dbg\.(?:value|declare|label)\(|#dbg_)")
_OWN_TAIL_CALL = "inttoptr (i64 12 to ptr)("


@dataclass(frozen=True, slots=True)
class GlobalLine:
    """What a global's line says beyond what LLVM's API tells."""

    section: str
    constant: bool
    zero: bool
    text: str


def read_globals(ir: str) -> dict[str, GlobalLine]:
    """Return every global of the module by name."""
    found = {}
    for line in _HEADERS.findall(ir):
        if match := _GLOBAL.match(line):
            section = _SECTION.search(line)
            head = _HEAD.match(match[2])
            found[match[1].strip('"')] = GlobalLine(
                section=section[1] if section else "",
                constant=bool(head and head[1].endswith("constant ")),
                zero=_initial(match[2]).endswith(("zeroinitializer", " 0", " null", " false")),
                text=match[2],
            )
    return found


def read_sections(ir: str) -> dict[str, str]:
    """Return the section of every function that the module defines; empty where it has none."""
    found = {}
    for line in _HEADERS.findall(ir):
        if match := _DEFINE.match(line):
            section = _FUNCTION_SECTION.search(line)
            found[match[1].strip('"')] = section[1] if section else ""
    return found


def _initial(body: str) -> str:
    tail = _TAIL.search(body)
    return body[: tail.start()] if tail else body


def refusals(ir: str) -> Iterator[str]:
    """Yield what of a module cannot be joined: aliases, assembly outside functions, unknown inline assembly."""
    if not any(word in ir for word in _SUSPECT):
        return
    for line in ir.splitlines():
        if match := _ALIAS.match(line):
            yield f"{match[2]} @{match[1]}: only functions and variables can be joined"
        elif line.startswith("module asm "):
            yield f"assembly outside functions: {line[11:]}"
        elif " asm " in line and not line.startswith((";", "!", "attributes", "source_filename")) and _is_refused(line):
            yield f"inline assembly: {_assembly_text(line)}"


def _is_refused(line: str) -> bool:
    return not (_HARMLESS_ASM.search(line) or _ASM_LOAD.match(line) or _ASM_TAIL_CALL.match(line))


def _assembly_text(line: str) -> str:
    match = re.search(r' asm (?:\w+ )*"([^"]*)"', line)
    return match[1][:120] if match else line.strip()[:120]


def replace_assembly(ir: str) -> str:
    """Return the module with the two known patterns of inline assembly as IR.

    They are a load from the context at a fixed offset, and libbpf's bpf_tail_call_static.
    """
    lines: list[str] = []
    for number, line in enumerate(ir.splitlines()):
        if " asm " in line and (match := _ASM_LOAD.match(line)):
            lines += _context_load(match, number)
        elif " asm " in line and (match := _ASM_TAIL_CALL.match(line)):
            lines.append(
                f"{match[1]}%ikv.asm.{number} = call i64 inttoptr (i64 12 to ptr)"
                f"(ptr {match[2]}, ptr {match[3]}, i64 {match[4]}){_location(match[5])}"
            )
        else:
            lines.append(line)
    return "\n".join(lines)


def _location(rest: str) -> str:
    return "".join(_DBG.findall(rest))


def _context_load(match: re.Match[str], number: int) -> list[str]:
    blank, result, kind, width, base, offset = match.group(1, 2, 3, 4, 5, 6)
    where, bits = _location(match[7]), int(width[1:])
    wanted = 64 if kind == "ptr" else int(kind[1:])
    place = f"%ikv.asm.{number}"
    direct = wanted == bits and kind != "ptr"
    loaded = result if direct else f"{place}.l"
    lines = [
        f"{blank}{place}.p = getelementptr i8, ptr {base}, i64 {offset}{where}",
        f"{blank}{loaded} = load volatile i{bits}, ptr {place}.p, align {bits // 8}{where}",
    ]
    if direct:
        return lines
    wide = result if kind != "ptr" else f"{place}.z"
    if wanted > bits:
        lines.append(f"{blank}{wide} = zext i{bits} {loaded} to i{wanted}{where}")
    if kind == "ptr":
        lines.append(f"{blank}{result} = inttoptr i64 {wide if wanted > bits else loaded} to ptr{where}")
    return lines


def has_tail_calls(ir: str) -> bool:
    """Return whether the module makes tail calls of its own."""
    return _OWN_TAIL_CALL in ir


def normalise_text(ir: str, *, keep_sections: bool) -> str:
    """Return the module without records of where variables are kept, and without its functions' sections unless kept.

    Types, functions and lines stay described: they become BTF. Where a variable is kept serves debuggers alone, and
    costs a quarter of the time that linking takes.
    """
    lines = [line for line in ir.splitlines() if not _VARIABLE_PLACE.match(line)]
    if not keep_sections:
        lines = [strip_section(line) if line.startswith("define ") else line for line in lines]
    return "\n".join(lines) + "\n"


def place_in_section(line: str, section: str) -> str:
    """Return a global-definition line with the section, and with its address significant.

    `unnamed_addr` would let LLVM merge equal constants of two instances.
    """
    tail = _TAIL.search(line)
    assert tail is not None, "the pattern matches the empty tail"
    head = re.sub(r"(?<!local_)\bunnamed_addr ", "", line[: tail.start()], count=1)
    return f'{head}, section "{section}"{tail[2]}'


def set_initial(line: str, raw: bytes, size: int) -> str:
    """Return a global-definition line whose initial value is these bytes, zeros up to `size`."""
    name, _, body = line.partition(" = ")
    head, tail = _HEAD.match(body), _TAIL.search(body)
    assert head is not None, "a definition says global or constant"
    assert tail is not None, "the pattern matches the empty tail"
    return f"{name} = {head[1]}[{size} x i8] {quote_bytes(raw.ljust(size, bytes(1)))}{tail[1]}{tail[2]}"


def strip_section(line: str) -> str:
    """Return a function's header without its section: it is no program of its own any more."""
    return _FUNCTION_SECTION.sub("", line, count=1)


def defined_name(line: str) -> str:
    """Return the name that a line defines at module level; empty where it defines none."""
    match = _GLOBAL.match(line) if line.startswith("@") else _DEFINE.match(line) if line.startswith("define ") else None
    return match[1].strip('"') if match else ""
