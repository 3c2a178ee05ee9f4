"""What a manifest says of an existing program's own maps and constants, as bytes for the program as it was built.

A name that the program does not have, and a value that does not fit, are faults at the manifest's key.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inkev.base.errors import FaultList
from inkev.package.codec import ColumnValue
from inkev.package.columns import encode
from inkev.package.configuration import field_name
from inkev.package.layout import Field, Layout, MapLayout
from inkev.package.manifest import Manifest, Program
from inkev.package.suggest import did_you_mean

_DATA = frozenset({"data", "bss", "rodata"})
Entries = dict[bytes, bytes]


def check_foreign(program: Program, layout: Layout) -> None:
    """Return where the program has every map and constant that the manifest names, and the values fit.

    Raises:
        Faults: `no-such-map`, `no-such-global`, `bad-map-entry`, `rodata-too-long`: all of them.
    """
    faults = FaultList()
    maps = {found.name: found for found in layout.maps if found.type not in _DATA}
    for part, names in (("map-sizes", program.map_sizes), ("map-entries", program.map_entries)):
        for name in names:
            if name not in maps:
                faults.add("no-such-map", f"{program.file} defines no map {name}", where=_place(layout, part, name),
                           hint=_known(name, maps))  # fmt: skip
    for name, entries in program.map_entries.items():
        if name in maps:
            room = program.map_sizes.get(name, maps[name].max_entries)
            _check_entries(_place(layout, "map-entries", name), maps[name], room, entries, faults)
    for name, value in program.rodata.items():
        _check_constant(name, value, layout, program, faults)
    faults.check()


def initial_entries(program: Program) -> dict[str, Entries]:
    """Return what the program's maps hold when they are made, by map."""
    return {
        name: {bytes.fromhex(key): bytes.fromhex(value) for key, value in entries.items()}
        for name, entries in program.map_entries.items()
    }


def constants(
    manifest: Manifest, program: Program, layout: Layout, options: Mapping[str, ColumnValue]
) -> dict[str, bytes]:
    """Return the values of the program's `const volatile` globals: the manifest's, then those that options name.

    Args:
        manifest: which options there are.
        program: the program, checked by `check_foreign`.
        layout: of the program as it was built.
        options: every option's value; option `min-ttl` is the global `min_ttl`.

    Raises:
        UserError: `bad-value`: an option does not fit its global.
    """
    known = _globals(layout)
    found = {name: _bytes(value, known[name].size if name in known else 8) for name, value in program.rodata.items()}
    for option, value in options.items():
        name = field_name(option)
        if name in known:
            found[name] = encode(manifest.config[option].type, value, known[name].size, column=f"config.{option}")
    return found


def sized(layout: Layout, program: Program) -> Layout:
    """Return the layout with the map sizes that the manifest gives; a map of another size keeps no state."""
    if not program.map_sizes:
        return layout
    maps = tuple(
        msgspec.structs.replace(
            found,
            max_entries=program.map_sizes[found.name],
            fingerprint=f"{found.fingerprint}.{program.map_sizes[found.name]}",
        )
        if found.name in program.map_sizes
        else found
        for found in layout.maps
    )
    return msgspec.structs.replace(layout, maps=maps)


def constant_names(layout: Layout) -> frozenset[str]:
    """Return the names of the program's constants that a value can be given to by itself."""
    return frozenset(_globals(layout))


def _globals(layout: Layout) -> dict[str, Field]:
    return {field.name: field for found in layout.maps if found.type == "rodata" for field in found.value}


def _check_entries(
    where: str, layout: MapLayout, room: int, entries: Mapping[str, str], faults: FaultList
) -> None:
    for key, value in entries.items():
        for what, text, size in (("key", key, layout.key_size), ("value", value, layout.value_size)):
            if len(text) != 2 * size:
                faults.add("bad-map-entry", f"{text} is {len(text) // 2} bytes", where=where,
                           why=f"a {what} of {layout.name} has {size}")  # fmt: skip
    if room and len(entries) > room:
        faults.add("bad-map-entry", f"{len(entries)} entries for {layout.name}", where=where,
                   why=f"it has room for {room}", hint="give it more by map-sizes")  # fmt: skip


def _check_constant(name: str, value: int | str, layout: Layout, program: Program, faults: FaultList) -> None:
    known, where = _globals(layout), _place(layout, "rodata", name)
    parts = [field for path, field in known.items() if path == name or path.startswith(f"{name}.")]
    if not parts:
        faults.add("no-such-global", f"{program.file} has no constant {name}", where=where,
                   why="only `const volatile` globals can be given values", hint=_known(name, known))  # fmt: skip
        return
    if isinstance(value, int) and name not in known:
        faults.add("bad-value", f"{name} is a struct", where=where, hint="write its bytes in hexadecimal")
        return
    size = max(field.offset + field.size for field in parts) - min(field.offset for field in parts)
    try:
        too_long = isinstance(value, str) and len(value) // 2 > size
        _bytes(value, size)
    except OverflowError:
        too_long = True
    if too_long:
        faults.add("rodata-too-long", f"{value} does not fit {name}", where=where, why=f"it has {size} bytes")


def _bytes(value: int | str, width: int) -> bytes:
    return bytes.fromhex(value) if isinstance(value, str) else value.to_bytes(width, "little", signed=value < 0)


def _place(layout: Layout, part: str, name: str) -> str:
    return f"nf.toml, programs.{layout.program}.{part}.{name}"


def _known(name: str, known: Mapping[str, object]) -> str:
    return did_you_mean(name, known) or (f"there is {', '.join(known)}" if known else "it has none")
