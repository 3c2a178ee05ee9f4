"""The memory that all of a graph's programs share: generation cell, per-CPU block, interface numbers and sets.

Makes and pins it, and is the only one that writes it from user space. The block is never written as a whole: packets on
their way keep their context in it.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterable, Mapping
from pathlib import Path
from struct import Struct

from inkev.base import limits
from inkev.base.cpus import block_places
from inkev.base.errors import UserError
from inkev.bpf.maps import MMAPABLE, Map, MapType
from inkev.bpf.pin import pin
from inkev.datapath.netns import inside
from inkev.datapath.pins import GraphPins
from inkev.graph import model

DEVICES = limits.HOOKS
SET_MEMBERS = 255
"""Interfaces in one set: what fits into a member list beside its count."""

PROGRAM_TYPES: tuple[model.ProgramType, ...] = ("xdp", "tc")
_ZERO = bytes(4)
_CELL_BYTES = 8
_WORD = Struct("=I")


def open_memory(pins: GraphPins) -> None:
    """Make sure of the graph's folders, cell, block, device arrays and entry arrays."""
    pins.hooks.mkdir(parents=True, exist_ok=True)
    pins.instances.mkdir(exist_ok=True)
    name = f"ikv_{pins.name}"
    _make(pins.cell, MapType.ARRAY, _CELL_BYTES, 1, MMAPABLE, name)
    _make(pins.block, MapType.ARRAY, block_places() * limits.BLOCK_BYTES, 1, MMAPABLE, name)
    _make(pins.devices, MapType.ARRAY, 4 * DEVICES, 1, MMAPABLE, name)
    _make(pins.members, MapType.ARRAY, 4 * (1 + SET_MEMBERS), DEVICES, 0, name)
    for program_type in PROGRAM_TYPES:
        _make(pins.entries(program_type), MapType.PROG_ARRAY, 4, 2 * limits.HOOKS, 0, name)


def make_slots(path: Path, graph: str) -> None:
    """Make sure of a generation's prog array."""
    _make(path, MapType.PROG_ARRAY, 4, limits.SLOTS, 0, f"ikv_{graph}")


def make_bcast(pins: GraphPins, number: int) -> Path:
    """Make sure of the device map of interface set `number`; return its pin."""
    path = pins.bcast(number)
    _make(path, MapType.DEVMAP_HASH, 4, SET_MEMBERS + 1, 0, f"ikv_{pins.name}")
    return path


def _make(path: Path, kind: MapType, value_size: int, entries: int, flags: int, name: str) -> None:
    if path.exists():
        return
    with Map.create(kind, 4, value_size, entries, flags=flags, name=name) as made:
        pin(made, path)


def read_cell(pins: GraphPins) -> tuple[int, int]:
    """Return the generation that runs and its bank; (0, 0) where none does."""
    try:
        with Map.open(pins.cell) as cell:
            value = int.from_bytes(cell.find(_ZERO, _CELL_BYTES) or b"", "little")
    except FileNotFoundError:
        return 0, 0
    return value >> 1, value & 1


def store_cell(pins: GraphPins, generation: int, bank: int) -> None:
    """Let packets that enter a hook from here on take the generation: one aligned 8-byte store."""
    with Map.open(pins.cell) as cell, cell.memory() as memory:
        word = ctypes.c_uint64.from_buffer(memory)
        word.value = generation << 1 | bank
        del word


def write_devices(pins: GraphPins, devices: Mapping[int, int]) -> None:
    """Write interface indexes by place, each in one 4-byte store."""
    with Map.open(pins.devices) as held, held.memory() as memory:
        words = (ctypes.c_uint32 * DEVICES).from_buffer(memory)
        for place, ifindex in devices.items():
            words[place] = ifindex
        del words


def write_members(pins: GraphPins, place: int, ifindexes: Iterable[int], netns: str) -> None:
    """Write an interface set, for tc as a list, for XDP as a device map.

    Raises:
        UserError: `too-many-interfaces`.
    """
    members = sorted(set(ifindexes))
    if len(members) > SET_MEMBERS:
        raise UserError("too-many-interfaces", f"an interface set holds at most {SET_MEMBERS} interfaces",
                        why=f"{len(members)} match", hint="make the pattern narrower, or use several hooks")
    with Map.open(pins.members) as lists:
        words = [len(members), *members]
        lists.update(_WORD.pack(place), b"".join(map(_WORD.pack, words)).ljust(4 * (1 + SET_MEMBERS), b"\0"))
    with Map.open(make_bcast(pins, place)) as devices, inside(netns):
        wanted = {_WORD.pack(ifindex) for ifindex in members}
        for key in set(devices.iter_keys()) - wanted:
            devices.delete(key)
        for key in sorted(wanted):
            _add_device(devices, key)


def _add_device(devices: Map, key: bytes) -> None:
    try:
        devices.update(key, key)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the interface went away meanwhile
            raise


def read_counters(pins: GraphPins, offset: int, count: int) -> list[int]:
    """Return `count` 8-byte counters from `offset`, each summed over CPUs."""
    layout = Struct(f"={count}Q")
    with Map.open(pins.block) as held, held.memory(writable=False) as block:
        every = [layout.unpack_from(block, start + offset) for start in range(0, len(block), limits.BLOCK_BYTES)]
    return [sum(values) for values in zip(*every, strict=True)]


def clear_counters(pins: GraphPins, offset: int, length_bytes: int) -> None:
    """Zero a region of the block on every CPU; what stands beside it is not touched."""
    with Map.open(pins.block) as held, held.memory() as block:
        for start in range(offset, len(block), limits.BLOCK_BYTES):
            block[start : start + length_bytes] = bytes(length_bytes)
