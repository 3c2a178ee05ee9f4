"""What a manifest must satisfy beyond its shape: names, versions, references between tables, values within their types.

A blank text was reported as missing already and is passed over here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from inkev.base import limits
from inkev.base.errors import UserError
from inkev.base.ids import is_name
from inkev.package.columns import COLUMN_TYPES, has_order, parse_value
from inkev.package.filenames import unsafe_reason
from inkev.package.manifest import Column, ConfigOption, Manifest, Program
from inkev.package.requirement import parse_specifier, parse_version
from inkev.package.shapes import Report, join
from inkev.package.suggest import did_you_mean

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_MAP = re.compile(r"\.?[A-Za-z_][A-Za-z0-9_.]{0,63}")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_FEATURE = re.compile(r"[a-z][a-z0-9-]*")
_HEX = re.compile(r"([0-9a-fA-F]{2})+")
_CODE = re.compile(r"-?[0-9]+|XDP_[A-Z]+|TC_ACT_[A-Z]+")
_ONWARD = {"xdp": {"XDP_PASS": "2"}, "tc": {"TC_ACT_OK": "0", "TC_ACT_UNSPEC": "-1"}}
"""Return codes that let a packet go on, and their numbers."""
_VERDICTS = ("pass", "drop", "transmit", "redirect")
_NAME_RULE = "a name has up to 31 small letters, digits, - and _, and starts with a letter"
_FOREIGN_ONLY = ("codes", "map_entries", "rodata")
_COUNTER_BYTES = 8


def check_manifest(manifest: Manifest, report: Report) -> None:
    """Report everything that is wrong in a manifest whose parts have their shapes."""
    _check_package(manifest, report)
    _check_requires(manifest, report)
    _check_kind(manifest, report)
    for name, program in manifest.programs.items():
        _check_program(join("programs", name), name, program, manifest, report)
    _check_ports(manifest, report)
    _check_config(manifest, report)
    _check_maps(manifest, report)
    _check_tables(manifest, report)
    _check_counters(manifest, report)
    _check_permissions(manifest, report)


def _check_package(manifest: Manifest, report: Report) -> None:
    package = manifest.package
    if package.name:
        _check_name(package.name, "package.name", report)
    if package.version:
        _check_parsed(parse_version, package.version, "package.version", report)
    if "\n" in package.summary:
        report.add("bad-summary", "package.summary", "the summary has more than one line")
    if package.license:
        _check_license(package.license, report)


def _check_license(text: str, report: Report) -> None:
    try:
        canonicalize_license_expression(text)
    except InvalidLicenseExpression as error:
        report.add(
            "bad-license",
            "package.license",
            f"{text!r} is not an SPDX licence expression",
            why=str(error),
            hint="write it as GPL-2.0-only or Apache-2.0 (https://spdx.org/licenses)",
        )


def _check_requires(manifest: Manifest, report: Report) -> None:
    requires = manifest.requires
    _check_parsed(parse_specifier, requires.inkev, "requires.inkev", report)
    for name, versions in requires.packages.items():
        key = join("requires.packages", name)
        _check_name(name, key, report)
        _check_parsed(parse_specifier, versions, key, report)
        if name == manifest.package.name:
            report.add("requires-itself", key, f"{name} requires itself")
    for feature in requires.kernel:
        if not _FEATURE.fullmatch(feature):
            report.add(
                "bad-name",
                "requires.kernel",
                f"{feature!r} is not the name of a kernel feature",
                hint="features are written as lpm-trie or ring-buffer",
            )


def _check_kind(manifest: Manifest, report: Report) -> None:
    kind = manifest.package.kind
    if kind == "function":
        if not manifest.programs:
            report.add("missing-key", "programs", "a function has at least one program", hint="add [programs.main]")
        if not manifest.ports:
            report.add(
                "missing-key", "ports", "a function has at least one port", hint="add [ports.in] and [ports.out]"
            )
    elif manifest.programs:
        report.add("not-a-function", "programs", f"a package of kind {kind} has no programs of its own")
    if (kind == "graph") != (manifest.subgraph is not None):
        wanted = "is missing" if kind == "graph" else f"means nothing in a package of kind {kind}"
        report.add("wrong-kind", "graph", f"the table [graph] {wanted}")


def _check_program(key: str, name: str, program: Program, manifest: Manifest, report: Report) -> None:
    _check_name(name, key, report)
    for part, files in (("file", (program.file,)), ("includes", program.includes)):
        for file in files:
            _check_file(file, join(key, part), report)
    if program.entry and not _IDENTIFIER.fullmatch(program.entry):
        report.add("bad-name", join(key, "entry"), f"{program.entry!r} is not the name of a C function")
    for define in program.defines:
        if not _IDENTIFIER.fullmatch(define):
            report.add("bad-name", join(key, "defines"), f"{define!r} is not the name of a C macro")
    _check_hooks(key, program, report)
    _check_foreign(key, program, manifest, report)


def _check_file(file: str, key: str, report: Report) -> None:
    reason = unsafe_reason(file) if file else ""
    if reason:
        report.add(
            "unsafe-file-name",
            key,
            f"{file!r} may not be used as a file name",
            why=f"it {reason}",
            hint="name files relative to the folder of nf.toml",
        )


def _check_hooks(key: str, program: Program, report: Report) -> None:
    if not program.hooks or len(set(program.hooks)) != len(program.hooks):
        report.add("bad-hooks", join(key, "hooks"), "each hook type stands once, and there is at least one")
    elif program.dialect != "inkev" and len(program.hooks) != 1:
        report.add(
            "bad-hooks",
            join(key, "hooks"),
            f"a program of dialect {program.dialect} has exactly one hook type",
            why="its source was written for one",
            hint='write hooks = ["xdp"] or hooks = ["tc"]',
        )
    elif program.dialect in {"xdp", "tc"} and program.hooks != (program.dialect,):
        report.add(
            "bad-hooks", join(key, "hooks"), f"a program of dialect {program.dialect} runs on {program.dialect} only"
        )


def _check_foreign(key: str, program: Program, manifest: Manifest, report: Report) -> None:
    if program.dialect == "inkev":
        for part in _FOREIGN_ONLY:
            if getattr(program, part):
                report.add(
                    "foreign-only", join(key, part.replace("_", "-")), "is for programs of dialect xdp, tc or bcc"
                )
    _check_onward(key, program, manifest, report)
    for code, verdict in program.codes.items():
        _check_code(join(join(key, "codes"), code), code, verdict, manifest, report)
    _check_contents(key, program, report)


def _check_onward(key: str, program: Program, manifest: Manifest, report: Report) -> None:
    """Where there are several ways out, the manifest must say which one a program that lets a packet go on means."""
    outputs = [name for name, port in manifest.ports.items() if port.direction != "in"]
    if program.dialect == "inkev" or len(outputs) < 2:
        return
    missing = [f"{name} or {number}" for name, number in _ONWARD.get(program.dialect, {}).items()
               if name not in program.codes and number not in program.codes]  # fmt: skip
    if missing:
        report.add(
            "which-port",
            join(key, "codes"),
            f"it is not said by which port a packet leaves that the program lets go on: {', '.join(missing)}",
            why=f"there are {', '.join(outputs)}",
            hint=f'write codes = {{ {missing[0].split()[0]} = "port:{outputs[0]}" }}',
        )


def _check_contents(key: str, program: Program, report: Report) -> None:
    for name, entries in program.map_entries.items():
        for text in (*entries, *entries.values()):
            _check_hex(text, join(join(key, "map-entries"), name), report)
    for name, value in program.rodata.items():
        if isinstance(value, str):
            _check_hex(value, join(join(key, "rodata"), name), report)
    for name, entries_wanted in program.map_sizes.items():
        if entries_wanted < 1:
            report.add("bad-value", join(join(key, "map-sizes"), name), "a map has at least one entry")


def _check_code(key: str, code: str, verdict: str, manifest: Manifest, report: Report) -> None:
    if not _CODE.fullmatch(code):
        report.add("bad-code", key, f"{code!r} is not a return code", hint="write a number, XDP_DROP or TC_ACT_SHOT")
    port = verdict.removeprefix("port:")
    if port == verdict and verdict not in _VERDICTS:
        report.add(
            "bad-verdict", key, f"{verdict!r} is not a verdict", hint=f"there are {', '.join(_VERDICTS)} and port:NAME"
        )
    elif port != verdict and port not in manifest.ports:
        report.add("unknown-port", key, f"there is no port {port!r}", hint=did_you_mean(port, manifest.ports))


def _check_hex(text: str, key: str, report: Report) -> None:
    if not _HEX.fullmatch(text):
        report.add(
            "bad-value", key, f"{text!r} is not bytes in hexadecimal", hint="write two digits a byte, as in 0a000001"
        )


def _check_ports(manifest: Manifest, report: Report) -> None:
    if len(manifest.ports) > limits.PORTS:
        report.add("too-many-ports", "ports", f"{len(manifest.ports)} ports; an instance has at most {limits.PORTS}")
    for name, port in manifest.ports.items():
        key = join("ports", name)
        _check_name(name, key, report)
        if port.program and port.program not in manifest.programs:
            report.add(
                "unknown-program",
                join(key, "program"),
                f"there is no program {port.program!r}",
                hint=did_you_mean(port.program, manifest.programs),
            )
        elif not port.program and port.direction != "out" and len(manifest.programs) > 1:
            report.add(
                "missing-key",
                join(key, "program"),
                f"port {name} must say which program a packet entering here runs",
                hint=f"there are {', '.join(manifest.programs)}",
            )


def _check_config(manifest: Manifest, report: Report) -> None:
    fields: dict[str, str] = {}
    for name, option in manifest.config.items():
        key = join("config", name)
        _check_name(name, key, report)
        other = fields.setdefault(name.replace("-", "_"), name)
        if other != name:
            report.add("name-clash", key, f"{name} and {other} are the same field of the C struct")
        _check_value_type(key, option, report)
        _check_default(key, option, report)


def _check_value_type(key: str, option: ConfigOption | Column, report: Report) -> None:
    if not option.type:
        return
    if option.type not in COLUMN_TYPES:
        report.add(
            "unknown-column-type",
            join(key, "type"),
            f"there is no type {option.type!r}",
            hint=did_you_mean(option.type, COLUMN_TYPES) or f"there are {', '.join(sorted(COLUMN_TYPES))}",
        )
        return
    if (option.type == "enum") != bool(option.values) or len(set(option.values)) != len(option.values):
        report.add("bad-enum", join(key, "values"), "an enum, and nothing else, has values, each once")
    low, high = option.minimum, option.maximum
    if (low, high) != (None, None) and not has_order(option.type):
        report.add("bad-range", key, f"a value of type {option.type} has no minimum or maximum")
    if low is not None and high is not None and low > high:
        report.add("bad-range", key, f"the minimum {low} is above the maximum {high}")


def _check_default(key: str, option: ConfigOption | Column, report: Report) -> None:
    if option.default is None or option.type not in COLUMN_TYPES or (option.type == "enum" and not option.values):
        return
    try:
        parse_value(
            option.type,
            option.default,
            values=option.values,
            minimum=option.minimum,
            maximum=option.maximum,
            column=join(key, "default"),
        )
    except UserError as error:
        fault = error.faults[0]
        report.add(fault.code, join(key, "default"), fault.message, why=fault.why)


def _check_maps(manifest: Manifest, report: Report) -> None:
    for name, rules in manifest.maps.items():
        key = join("maps", name)
        if not _MAP.fullmatch(name):
            report.add("bad-name", key, f"{name!r} is not the name of a map")
        if rules.version < 1:
            report.add("bad-version", join(key, "version"), "the version of a map's meaning counts from 1")
        if rules.export and rules.imported:
            report.add("bad-map", key, "a map is exported or imported, not both")
        for part, shared in (("export", rules.export), ("import", rules.imported)):
            if shared:
                _check_name(shared, join(key, part), report)


def _check_tables(manifest: Manifest, report: Report) -> None:
    for name, table in manifest.tables.items():
        key = join("tables", name)
        _check_name(name, key, report)
        if table.map and not _MAP.fullmatch(table.map):
            report.add("bad-name", join(key, "map"), f"{table.map!r} is not the name of a map")
        if not table.columns:
            report.add("missing-key", join(key, "columns"), f"table {name} has no columns")
        for column_name, column in table.columns.items():
            place = join(join(key, "columns"), column_name)
            _check_name(column_name, place, report)
            _check_value_type(place, column, report)
            _check_default(place, column, report)
            if column.field and not _FIELD.fullmatch(column.field):
                report.add("bad-name", join(place, "field"), f"{column.field!r} is not a dotted path of C fields")


def _check_counters(manifest: Manifest, report: Report) -> None:
    for key, names in (("metrics", manifest.metrics), ("reasons", manifest.reasons)):
        _check_names(names, key, report)
    counters = 1 + limits.COMMON_REASONS + len(manifest.reasons) + len(manifest.metrics)
    room = (limits.BLOCK_BYTES - limits.BLOCK_HEADER_BYTES) // _COUNTER_BYTES
    if counters > room:
        report.add("too-many-counters", "metrics", f"{counters} counters; a graph has room for {room}")


def _check_permissions(manifest: Manifest, report: Report) -> None:
    for helper in manifest.permissions.helpers:
        if not re.fullmatch(r"bpf_[a-z0-9_]+", helper):
            report.add(
                "bad-name",
                "permissions.helpers",
                f"{helper!r} is not the name of a bpf helper",
                hint="helpers are written as bpf_fib_lookup",
            )
    for kfunc in manifest.permissions.kfuncs:
        if not _IDENTIFIER.fullmatch(kfunc):
            report.add("bad-name", "permissions.kfuncs", f"{kfunc!r} is not the name of a kernel function")


def _check_names(names: Iterable[str], key: str, report: Report) -> None:
    for name in names:
        _check_name(name, join(key, name), report)


def _check_name(name: str, key: str, report: Report) -> None:
    if not is_name(name):
        plain = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-_0123456789")[:31]
        report.add("bad-name", key, f"{name!r} is not a name", why=_NAME_RULE, hint=f"{plain or 'guard'} would be one")


def _check_parsed(parse: Callable[[str], object], text: str, key: str, report: Report) -> None:
    try:
        parse(text)
    except UserError as error:
        fault = error.faults[0]
        report.add(fault.code, key, fault.message, why=fault.why, hint=fault.hint)
