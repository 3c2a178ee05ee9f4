"""The Layout of one built program, from the object that clang makes of it alone: its BTF and its instructions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from inkev.package.btf import Btf, Kind, Type, read_btf
from inkev.package.layout import Field, Layout, MapLayout
from inkev.toolchain.audit import audit
from inkev.toolchain.elf import Elf, read_elf
from inkev.toolchain.licenses import LIBRARY
from inkev.toolchain.map_types import MAP_TYPES

SELF = "ikv_self"
_EXTERN = 2
_OPAQUE = {"bpf_spin_lock": "lock", "bpf_timer": "timer"}
_SECTIONS = ("data", "bss", "rodata")


def make_layout(program: str, hook: str, entry: str, raw: bytes, compiler: str, *, is_foreign: bool) -> Layout | None:
    """Return the layout; None where the object has no such entry.

    Raises:
        ElfError, BtfError: the object is not one that clang made with debug information.
    """
    elf = read_elf(raw)
    found = audit(elf, entry, hook, is_foreign=is_foreign)
    if found is None:
        return None
    section = elf.find_section(".BTF")
    btf = read_btf(section.data) if section else Btf()
    config, config_size = ((), 0) if is_foreign else _config(btf)
    return Layout(
        program=program,
        hook=hook,
        entry=entry,
        license=_license(elf, is_foreign=is_foreign),
        config=config,
        config_size=config_size,
        maps=(*_maps(btf), *_data_sections(btf, elf)),
        helpers=found.helpers,
        kfuncs=found.kfuncs,
        writes_packet=found.writes_packet,
        redirects=found.redirects,
        tail_calls=found.tail_calls,
        instructions=found.instructions,
        compiler=compiler,
    )


def _license(elf: Elf, *, is_foreign: bool) -> str:
    section = elf.find_section("license")
    if section is None:
        return "" if is_foreign else LIBRARY
    return section.data.split(b"\0")[0].decode(errors="replace")


def _config(btf: Btf) -> tuple[tuple[Field, ...], int]:
    """The one constant that an inkev program only declares is its configuration."""
    for one in btf.types:
        if one.kind == Kind.VAR and one.linkage == _EXTERN and one.name != SELF:
            return tuple(fields(btf, one.target)), btf.size(one.target)
    return (), 0


def _maps(btf: Btf) -> Iterator[MapLayout]:
    section = btf.find(".maps", Kind.DATASEC)
    for row in section.members if section else ():
        variable = btf.types[row.type]
        yield _map(btf, variable.name, btf.resolve(variable.target))


def _map(btf: Btf, name: str, definition: Type) -> MapLayout:
    """A BTF-defined map says numbers as the length of an array pointed to, and types as what is pointed to."""
    numbers, pointed = {}, {}
    for member in definition.members:
        target = btf.resolve(member.type)
        if target.kind == Kind.PTR:
            pointed[member.name] = target.target
            inner = btf.resolve(target.target)
            if inner.kind == Kind.ARRAY:
                numbers[member.name] = inner.count
    key, value = pointed.get("key", 0), pointed.get("value", 0)
    kind = numbers.get("type", 0)
    made = MapLayout(
        name=name,
        type=MAP_TYPES[kind] if kind < len(MAP_TYPES) else f"type_{kind}",
        key_size=btf.size(key) if key else numbers.get("key_size", 0),
        value_size=btf.size(value) if value else numbers.get("value_size", 0),
        max_entries=numbers.get("max_entries", 0),
        flags=numbers.get("map_flags", 0),
        key=tuple(fields(btf, key)) if key else (),
        value=tuple(fields(btf, value)) if value else (),
    )
    return _with_fingerprint(made)


def _data_sections(btf: Btf, elf: Elf) -> Iterator[MapLayout]:
    offsets = {
        (elf.sections[one.section].name, one.name): one.value for one in elf.symbols if one.section < len(elf.sections)
    }
    for one in btf.types:
        if one.kind != Kind.DATASEC or one.name.split(".")[1:2] not in ([kind] for kind in _SECTIONS):
            continue
        section = elf.find_section(one.name)
        value: list[Field] = []
        for row in one.members:
            variable = btf.types[row.type]
            start = offsets.get((one.name, variable.name), 0)
            value += fields(btf, variable.target, variable.name, start)
        size = section.size if section else 0
        yield _with_fingerprint(
            MapLayout(
                name=one.name,
                type=one.name.split(".")[1],
                key_size=4,
                value_size=size,
                max_entries=1,
                value=tuple(sorted(value, key=lambda field: field.offset)),
            )
        )


def _with_fingerprint(made: MapLayout) -> MapLayout:
    shape = (
        made.type,
        made.key_size,
        made.value_size,
        made.max_entries,
        made.flags,
        [(one.name, one.offset, one.size, one.kind) for one in (*made.key, *made.value)],
    )
    digest = hashlib.sha256(repr(shape).encode()).hexdigest()[:32]
    return MapLayout(
        name=made.name,
        type=made.type,
        key_size=made.key_size,
        value_size=made.value_size,
        max_entries=made.max_entries,
        flags=made.flags,
        key=made.key,
        value=made.value,
        fingerprint=digest,
    )


def fields(btf: Btf, number: int, name: str = "", offset: int = 0) -> Iterator[Field]:
    """Yield the fields of a type, nested structs taken apart, paths joined by dots."""
    found = btf.resolve(number)
    if found.kind in (Kind.STRUCT, Kind.UNION) and found.name not in _OPAQUE:
        for member in found.members:
            path = f"{name}.{member.name}" if name and member.name else name or member.name
            yield from fields(btf, member.type, path, offset + member.bit_offset // 8)
        return
    yield Field(name=name, offset=offset, size=btf.size(number), kind=_kind(btf, found), type=btf.format(number))


def _kind(btf: Btf, found: Type) -> str:
    if found.kind == Kind.INT:
        return "bool" if found.is_bool else "signed" if found.is_signed else "int"
    if found.kind == Kind.ARRAY:
        return "bytes" if btf.size(found.target) == 1 else "array"
    if found.kind in (Kind.ENUM, Kind.ENUM64):
        return "enum"
    return _OPAQUE.get(found.name, "pointer")
