"""Options of an instance as the C configuration struct that the linker puts in as a constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from inkev.base.errors import FaultList, UserError
from inkev.package.codec import ColumnValue
from inkev.package.columns import FindInterface, encode, parse_value
from inkev.package.layout import Field, Layout
from inkev.package.manifest import ConfigOption, Manifest
from inkev.package.suggest import did_you_mean

FindInterfaceFor = Callable[[str], FindInterface]
"""Instance to what finds interfaces where it is."""
C_WORDS = frozenset({
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float",
    "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof",
    "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while",
})  # fmt: skip
"""No field of a struct can be named so (ISO C17, 6.4.1)."""


def config_values(
    manifest: Manifest, given: Mapping[str, object], find_interface: FindInterface | None = None
) -> dict[str, ColumnValue]:
    """Return every option's value: the given one, or the manifest's default.

    Raises:
        Faults: every option that is unknown, of the wrong type, or out of range.
    """
    faults = FaultList()
    for name in given:
        if name not in manifest.config:
            faults.add("unknown-option", f"{manifest.package.name} has no option {name!r}", where=f"config.{name}",
                       hint=_known(name, manifest))  # fmt: skip
    values: dict[str, ColumnValue] = {}
    for name, option in manifest.config.items():
        try:
            values[name] = _value(name, option, given.get(name, option.default), find_interface)
        except UserError as error:
            faults.faults.extend(replace(fault, where=f"config.{name}") for fault in error.faults)
    faults.check()
    return values


def encode_config(
    manifest: Manifest, layout: Layout, given: Mapping[str, object], find_interface: FindInterface | None = None
) -> bytes:
    """Return the bytes of the program's configuration struct; option `min-ttl` is field `min_ttl`.

    A program that has no struct gets no bytes; options that only another program of the package reads are left out.

    `find_interface` turns an interface's name into its index, for options of that type.

    Raises:
        Faults: every option that is unknown, wrong, or does not fit its field.
    """
    values = config_values(manifest, given, find_interface)
    fields = {field.name: field for field in layout.config}
    faults = FaultList()
    struct = bytearray(layout.config_size)
    for name, value in values.items():
        field = fields.get(field_name(name))
        if field is None:
            continue
        try:
            struct[field.offset : field.offset + field.size] = _encoded(name, manifest.config[name], field, value)
        except UserError as error:
            faults.faults.extend(error.faults)
    faults.check()
    return bytes(struct)


def missing_fields(manifest: Manifest, layouts: Mapping[str, Layout]) -> dict[str, tuple[str, ...]]:
    """Return the options that no program has a field for (under ""), and per program the fields that no option sets.

    What `inkev check` reports: either side without the other is a slip of the author's. An existing program has no
    struct of options: they give values to its `const volatile` globals.
    """
    options = {field_name(name): name for name in manifest.config}
    used = {field.name for layout in layouts.values() for field in layout.config}
    for program, layout in layouts.items():
        if program in manifest.programs and manifest.programs[program].dialect != "inkev":
            used |= {field.name for found in layout.maps if found.type == "rodata" for field in found.value}
    found = {"": tuple(name for field, name in options.items() if field not in used)}
    for program, layout in layouts.items():
        found[program] = tuple(field.name for field in layout.config if field.name not in options)
    return {key: names for key, names in found.items() if names}


def field_name(option: str) -> str:
    """Return the C field that an option sets: `min-ttl` sets `min_ttl`, and `default`, a word of C's, `default_`."""
    name = option.replace("-", "_")
    return f"{name}_" if name in C_WORDS else name


def _value(name: str, option: ConfigOption, raw: object, find_interface: FindInterface | None) -> ColumnValue:
    return parse_value(
        option.type,
        raw,
        values=option.values,
        minimum=option.minimum,
        maximum=option.maximum,
        column=f"config.{name}",
        find_interface=find_interface,
    )


def _encoded(name: str, option: ConfigOption, field: Field, value: ColumnValue) -> bytes:
    return encode(option.type, value, field.size, column=f"config.{name}")


def _known(name: str, manifest: Manifest) -> str:
    if not manifest.config:
        return "it has no options"
    return did_you_mean(name, manifest.config) or f"there are {', '.join(manifest.config)}"
