"""The frozen map that describes a generation: a length, and the spec's canonical JSON."""

from __future__ import annotations

import zlib
from pathlib import Path
from struct import Struct

import msgspec

from inkev.base.errors import ConflictError
from inkev.bpf.maps import Map, MapType
from inkev.bpf.pin import repin
from inkev.graph.spec import Spec, decode_spec, encode_spec

_HEADER = Struct("=II")
_COMPRESSED = 1
_LARGE = 1 << 16
"""Bytes from which compressing costs less than the memory is worth."""


def write_spec(path: Path, graph: str, spec: Spec) -> None:
    """Pin the spec in one step; a spec that stood there is replaced."""
    raw, flags = encode_spec(spec), 0
    if len(raw) >= _LARGE:
        raw, flags = zlib.compress(raw, 1), _COMPRESSED
    value = _HEADER.pack(len(raw), flags) + raw
    with Map.create(MapType.ARRAY, 4, len(value), 1, name=f"ikv_{graph}") as made:
        made.update(bytes(4), value)
        made.freeze()
        repin(made, path)


def read_spec(path: Path) -> Spec:
    """Return the pinned spec.

    Raises:
        FileNotFoundError: there is none.
        ConflictError: `unreadable-spec`: another version of inkev wrote it.
    """
    with Map.open(path, read_only=True) as held:
        value = held.find(bytes(4)) or b""
    length, flags = _HEADER.unpack_from(value)
    raw = value[_HEADER.size : _HEADER.size + length]
    try:
        return decode_spec(zlib.decompress(raw) if flags & _COMPRESSED else raw)
    except (msgspec.DecodeError, zlib.error) as error:
        raise ConflictError("unreadable-spec", f"what runs as {path.parent.parent.name} cannot be read",
                            where=str(path), why=str(error),
                            hint="use the version of inkev that stitched it") from None
