"""One member's bitcode made fit for company: every name its own, data in sections of its own, what is dead gone.

Runs in the worker. Each rule stands in `docs/linking.md` with the failure that it prevents.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import llvmlite.binding as llvm

from inkev.base.errors import UserError
from inkev.host.linking import LinkedMap, Member
from inkev.toolchain import ir_grammar
from inkev.toolchain.ir_text import quote_bytes
from inkev.toolchain.map_sizes import resize_map

DROPPED_SECTIONS = frozenset({"license", "version", ".xdp_run_config", "features", "xdp_metadata"})
LEGACY_MAPS = "maps"
_DATA = re.compile(r"\.(data|bss|rodata)\b")
_LICENSE = re.compile(r'c"(.*?)(?:\\00)*"')
_USED = ("llvm.used", "llvm.compiler.used")


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the modules of one request share. A context of its own: what LLVM interned for it goes with it."""

    machine: llvm.TargetMachine
    context: llvm.ContextRef


@dataclass(slots=True)
class Isolated:
    """A member ready to be joined."""

    module: llvm.ModuleRef
    entry: str
    is_subprogram: bool
    """True where the entry cannot be inlined: it makes tail calls of its own, or its author forbade it."""
    tail_calls: bool
    license: str = ""
    maps: list[LinkedMap] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    """Symbols that stay visible: maps, state, functions that the verifier takes as global."""
    outer: set[str] = field(default_factory=set)
    """Those functions."""
    constants: list[str] = field(default_factory=list)
    """Definitions, as IR, of the constants that the member only declares."""


class Isolation:
    """The work on one member; `token` is its instance's, `number` its place among the members."""

    def __init__(self, member: Member, token: str, number: int, workshop: Workshop) -> None:
        self.member = member
        self.token = token
        self.number = number
        self.machine = workshop.machine
        self.context = workshop.context
        self.module = llvm.parse_bitcode(member.bitcode, self.context)
        self.ir = self._accept(str(self.module))
        self.globals = ir_grammar.read_globals(self.ir)
        self.sections = ir_grammar.read_sections(self.ir)
        self.data: dict[str, str] = {}
        self.initials: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self.outer: set[str] = set()
        self.result = Isolated(self.module, f"ikv_entry_{number}", False, ir_grammar.has_tail_calls(self.ir))

    def run(self) -> Isolated:
        """Do the work."""
        self._name_globals()
        self._name_functions()
        self._collect_garbage()
        self._edit_text()
        self.result.module = self.module
        return self.result

    def _refuse(self, code: str, why: str, hint: str = "") -> UserError:
        return UserError(
            code,
            f"cannot link {self.member.instance} ({self.member.program})",
            where=self.member.program,
            why=why,
            hint=hint,
        )

    def _accept(self, ir: str) -> str:
        for why in ir_grammar.refusals(ir):
            raise self._refuse("cannot-be-linked", why)
        if " asm " not in ir:
            return ir
        replaced = ir_grammar.replace_assembly(ir)
        if replaced != ir.rstrip("\n"):
            self.module = llvm.parse_assembly(replaced, self.context)
        return replaced

    def _name_globals(self) -> None:
        for value in list(self.module.global_variables):
            if value.name in _USED:
                # SEC() marks its symbol `used`; made internal, the list goes with whatever nothing else needs.
                value.linkage = llvm.Linkage.internal
                value.name = f"{self.token}.{value.name[5:]}"
            elif value.is_declaration:
                self._name_declaration(value)
            else:
                self._name_definition(value)

    def _name_declaration(self, value: llvm.ValueRef) -> None:
        name = value.name
        if name.startswith("llvm."):
            # CO-RE: named by type and access, not by field, so that two instances' would be taken for one another.
            value.name = f"llvm.{self.token}_{self.number}.{name[5:]}"
        elif name == "ikv_self":
            value.name = f"ikv_self_{self.number}"
        elif self.member.dialect == "inkev" and not self.globals[name].section:
            self._define_config(value)
        elif self.globals[name].section not in {".ksyms", ".kconfig"}:
            raise self._refuse("unresolved-symbol", f"nothing defines {name}")

    def _define_config(self, value: llvm.ValueRef) -> None:
        size = max(self.machine.target_data.get_abi_size(value.global_value_type), len(self.member.config))
        value.name = f"ikv_config_{self.number}_{value.name}"
        raw = self.member.config.ljust(size, bytes(1))
        self.result.constants.append(f"@{value.name} = constant [{size} x i8] {quote_bytes(raw)}, align 8")

    def _name_definition(self, value: llvm.ValueRef) -> None:
        name, line = value.name, self.globals[value.name]
        if line.section in DROPPED_SECTIONS:
            self._drop(value, line)
            return
        if line.section == LEGACY_MAPS:
            raise self._refuse(
                "legacy-map", f"{name} is defined in section maps", "define it in .maps, as libbpf 1.0 wants"
            )
        if value.linkage == llvm.Linkage.private:
            self._check_private(value, line)
            return
        value.name = f"{self.token}_{name}"
        if line.section == ".maps":
            self._keep_map(value, name)
        elif self._is_state(value, name, line):
            self._keep_state(value, name, line)
        else:
            value.linkage = llvm.Linkage.internal

    def _drop(self, value: llvm.ValueRef, line: ir_grammar.GlobalLine) -> None:
        if line.section == "license" and (match := _LICENSE.search(line.text)):
            self.result.license = match[1]
        value.linkage = llvm.Linkage.internal
        value.name = f"{self.token}_{self.number}_{value.name}"

    def _check_private(self, value: llvm.ValueRef, line: ir_grammar.GlobalLine) -> None:
        if not line.constant:
            raise self._refuse("cannot-be-linked", f"{value.name} is private state")

    def _keep_map(self, value: llvm.ValueRef, name: str) -> None:
        # Programs of one instance share its maps: the linker takes the first of equal weak definitions.
        value.linkage = llvm.Linkage.weak_any
        self.result.kept.add(value.name)
        self.result.maps.append(LinkedMap(symbol=value.name, instance=self.member.instance, name=name))
        if name in self.member.map_sizes:
            self.sizes[value.name] = self.member.map_sizes[name]

    def _is_state(self, value: llvm.ValueRef, name: str, line: ir_grammar.GlobalLine) -> bool:
        is_visible = value.linkage == llvm.Linkage.external
        return not line.constant or is_visible or bool(line.section) or name in self.member.rodata

    def _keep_state(self, value: llvm.ValueRef, name: str, line: ir_grammar.GlobalLine) -> None:
        # Internal, GlobalOpt would split it: BTF is then refused, and its layout would change with every link.
        value.linkage = llvm.Linkage.weak_any
        self.result.kept.add(value.name)
        initial = self.member.rodata.get(name)
        if initial is not None:
            self.initials[value.name] = initial
        if line.section and not _DATA.match(line.section):
            return
        is_zero = line.zero and initial is None
        kind = line.section or (".rodata" if line.constant else ".bss" if is_zero else ".data")
        self.data[value.name] = f"{kind}.{self.token}"

    def _name_functions(self) -> None:
        functions = [value for value in self.module.functions if not value.is_declaration]
        if self.member.entry not in {value.name for value in functions}:
            known = ", ".join(sorted(name for name, section in self.sections.items() if section)) or "none"
            raise self._refuse(
                "no-such-entry",
                f"{self.member.entry} is not a function of {self.member.program}",
                f"entries that it has: {known}",
            )
        for value in functions:
            self._name_function(value)

    def _name_function(self, value: llvm.ValueRef) -> None:
        name = value.name
        if name == self.member.entry:
            self._name_entry(value)
            return
        value.name = f"{self.token}_{self.number}_{name}"
        is_program = bool(self.sections[name])
        if value.linkage == llvm.Linkage.external and not is_program and value.visibility.name != "hidden":
            self._name_outer_function(value)
        value.linkage = llvm.Linkage.internal

    def _name_outer_function(self, value: llvm.ValueRef) -> None:
        """BTF says that it is global, so the verifier checks it for any caller: LLVM must not learn from the real ones.

        In our own dialect it goes into its callers: seen alone, a struct ikv_packet is bytes to the verifier.
        """
        if self.member.dialect == "inkev" and not _is_kept_apart(value):
            value.add_function_attribute("alwaysinline")
        else:
            self.outer.add(value.name)

    def _name_entry(self, value: llvm.ValueRef) -> None:
        value.name = self.result.entry
        value.linkage = llvm.Linkage.external
        forbidden = _is_kept_apart(value)
        self.result.is_subprogram = self.result.tail_calls or forbidden
        if self.result.is_subprogram and self.member.dialect == "inkev":
            why = f"{self.member.entry} is marked noinline" if forbidden else f"{self.member.program} makes tail calls"
            raise self._refuse("entry-not-inlined", why, "leave by a port, and let the graph decide what follows")
        if not forbidden:
            value.add_function_attribute("noinline" if self.result.is_subprogram else "alwaysinline")

    def _collect_garbage(self) -> None:
        builder = llvm.create_pass_builder(self.machine, llvm.create_pipeline_tuning_options(speed_level=2))
        passes = llvm.create_new_module_pass_manager()
        passes.add_global_dead_code_eliminate_pass()
        passes.run(self.module, builder)
        alive = {value.name for value in self.module.functions if not value.is_declaration}
        for value in self.module.functions:
            if value.name in self.outer:
                value.linkage = llvm.Linkage.external
        self.result.outer = self.outer & alive
        self.result.kept |= self.result.outer

    def _has_sections(self) -> bool:
        """Return whether a function that stays would be taken for a program of its own."""
        alive = {value.name for value in self.module.functions if not value.is_declaration}
        placed = {f"{self.token}_{self.number}_{name}" for name, section in self.sections.items() if section}
        return self.result.is_subprogram or bool(placed & alive)

    def _edit_text(self) -> None:
        if not (self.data or self.initials or self.sizes or self._has_sections()):
            return
        widths = {
            value.name: self.machine.target_data.get_abi_size(value.global_value_type)
            for value in self.module.global_variables
            if value.name in self.initials
        }
        lines = [
            self._edit_line(line, widths) if line.startswith(("@", "define ")) else line
            for line in ir_grammar.normalise_text(str(self.module), keep_sections=True).splitlines()
        ]
        text = "\n".join(lines)
        for symbol, entries in self.sizes.items():
            text = self._resize(text, symbol, entries)
        self.module = llvm.parse_assembly(text, self.context)
        self._list_sections()

    def _edit_line(self, line: str, widths: dict[str, int]) -> str:
        if line.startswith("define "):
            return ir_grammar.strip_section(line)
        name = ir_grammar.defined_name(line)
        if name in self.initials:
            if len(self.initials[name]) > widths[name]:
                raise self._refuse(
                    "rodata-too-long", f"{name} has {widths[name]} bytes, {len(self.initials[name])} are given"
                )
            line = ir_grammar.set_initial(line, self.initials[name], widths[name])
        return ir_grammar.place_in_section(line, self.data[name]) if name in self.data else line

    def _resize(self, text: str, symbol: str, entries: int) -> str:
        try:
            return resize_map(text, symbol, entries)
        except LookupError:
            raise self._refuse("map-has-no-size", f"{symbol} has no max_entries to change") from None

    def _list_sections(self) -> None:
        alive = {value.name for value in self.module.global_variables}
        for section in sorted({section for name, section in self.data.items() if name in alive}):
            self.result.maps.append(
                LinkedMap(symbol=section, instance=self.member.instance, name=section.removesuffix(f".{self.token}"))
            )


def _is_kept_apart(function: llvm.ValueRef) -> bool:
    """Return whether the author forbade inlining; LLVM refuses `alwaysinline` beside that."""
    attributes = b" ".join(function.attributes)
    return b"noinline" in attributes or b"optnone" in attributes


def isolate(member: Member, token: str, number: int, workshop: Workshop) -> Isolated:
    """Return the member ready to be joined.

    Raises:
        UserError: its bitcode holds something that cannot be joined.
    """
    return Isolation(member, token, number, workshop).run()
