"""The BPF Type Format, read: types, members, variables of data sections. Pure: bytes in, values out.

Format: Documentation/bpf/btf.rst of the kernel.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_MAGIC = 0xEB9F


class BtfError(ValueError):
    """The bytes are not BTF."""


class Kind(IntEnum):
    """BTF_KIND_*."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


TRANSPARENT = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
"""Kinds that only name or qualify another type."""

_EXTRA_BYTES = {Kind.INT: 4, Kind.ARRAY: 12, Kind.VAR: 4, Kind.DECL_TAG: 4}
_BYTES_EACH = {Kind.STRUCT: 12, Kind.UNION: 12, Kind.ENUM: 8, Kind.FUNC_PROTO: 8, Kind.DATASEC: 12, Kind.ENUM64: 12}
_SIGNED = 1
_BOOL = 4
_POINTER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a struct or union; a variable of a section; a parameter. `bit_offset` counts from the outer start."""

    name: str
    type: int
    bit_offset: int = 0
    bits: int = 0
    """Width of a bit field, 0 for a whole member."""
    size: int = 0
    """Bytes; only for a variable of a section."""


@dataclass(frozen=True, slots=True)
class Type:
    """One type; what `size` and `target` mean depends on the kind."""

    id: int
    kind: Kind
    name: str
    size: int = 0
    """Bytes of an int, enum, struct, union, section."""
    target: int = 0
    """The type that is pointed to, named, qualified, declared, or is an array's element."""
    count: int = 0
    """Elements of an array."""
    is_signed: bool = False
    is_bool: bool = False
    linkage: int = 0
    """Of a variable or function: 0 static, 1 global, 2 extern."""
    members: tuple[Member, ...] = ()


@dataclass(slots=True)
class Btf:
    """All types of one object, by id; 0 is void."""

    types: list[Type] = field(default_factory=list)

    def resolve(self, number: int) -> Type:
        """Return the type behind names and qualifiers."""
        found = self.types[number]
        for _ in range(64):
            if found.kind not in TRANSPARENT:
                return found
            found = self.types[found.target]
        raise BtfError(f"type {number} names itself")

    def find(self, name: str, kind: Kind) -> Type | None:
        """Return the first type of that name and kind, or None."""
        return next((one for one in self.types if one.name == name and one.kind == kind), None)

    def size(self, number: int) -> int:
        """Return a type's bytes."""
        found = self.resolve(number)
        if found.kind == Kind.PTR:
            return _POINTER_BYTES
        if found.kind == Kind.ARRAY:
            return found.count * self.size(found.target)
        return found.size

    def format(self, number: int) -> str:
        """Return the type as C writes it, near enough for an error text."""
        found = self.types[number]
        if found.kind == Kind.PTR:
            return f"{self.format(found.target)} *"
        if found.kind == Kind.ARRAY:
            return f"{self.format(found.target)}[{found.count}]"
        if found.kind in TRANSPARENT - {Kind.TYPEDEF}:
            return self.format(found.target)
        word = {Kind.STRUCT: "struct ", Kind.UNION: "union ", Kind.ENUM: "enum "}.get(found.kind, "")
        return word + (found.name or "void" if found.kind == Kind.VOID else found.name or "(anonymous)")


def read_btf(raw: bytes) -> Btf:
    """Return the types of a `.BTF` section.

    Raises:
        BtfError: the bytes are not BTF of a known kind.
    """
    try:
        return _read(raw)
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise error if isinstance(error, BtfError) else BtfError(f"not BTF: {error}") from error


def _read(raw: bytes) -> Btf:
    magic, _, _, header, type_offset, type_bytes, string_offset, string_bytes = _HEADER.unpack_from(raw)
    if magic != _MAGIC:
        raise BtfError("not BTF: wrong magic number")
    strings = raw[header + string_offset : header + string_offset + string_bytes]
    body = raw[header + type_offset : header + type_offset + type_bytes]
    found, place = [Type(0, Kind.VOID, "")], 0
    while place < len(body):
        one, place = _read_type(body, place, strings, len(found))
        found.append(one)
    return Btf(found)


def _text(strings: bytes, offset: int) -> str:
    return strings[offset : strings.index(0, offset)].decode()


def _read_type(body: bytes, place: int, strings: bytes, number: int) -> tuple[Type, int]:
    name, info, size = _TYPE.unpack_from(body, place)
    kind, count, flag = Kind(info >> 24 & 31), info & 0xFFFF, bool(info >> 31)
    start = place + _TYPE.size
    extra = _EXTRA_BYTES.get(kind, 0) + count * _BYTES_EACH.get(kind, 0)
    more = body[start : start + extra]
    if len(more) < extra:
        raise BtfError("not BTF: a type lies beyond the end")
    return _make(kind, _text(strings, name), size, more, strings, number, flag=flag), start + extra


def _make(kind: Kind, name: str, size: int, more: bytes, strings: bytes, number: int, *, flag: bool) -> Type:
    if kind == Kind.INT:
        encoding = more[3] & 15
        return Type(number, kind, name, size, is_signed=bool(encoding & _SIGNED), is_bool=bool(encoding & _BOOL))
    if kind == Kind.ARRAY:
        element, _, count = struct.unpack("<III", more)
        return Type(number, kind, name, target=element, count=count)
    if kind in (Kind.STRUCT, Kind.UNION):
        return Type(number, kind, name, size, members=_members(more, strings, flag=flag))
    if kind == Kind.DATASEC:
        rows = struct.iter_unpack("<III", more)
        return Type(number, kind, name, size, members=tuple(Member("", row[0], row[1] * 8, 0, row[2]) for row in rows))
    if kind == Kind.FUNC_PROTO:
        rows = struct.iter_unpack("<II", more)
        return Type(
            number, kind, name, target=size, members=tuple(Member(_text(strings, row[0]), row[1]) for row in rows)
        )
    if kind == Kind.VAR:
        return Type(number, kind, name, target=size, linkage=struct.unpack("<I", more)[0])
    if kind in (Kind.ENUM, Kind.ENUM64, Kind.FLOAT):
        return Type(number, kind, name, size, is_signed=flag)
    return Type(number, kind, name, target=size)


def _members(more: bytes, strings: bytes, *, flag: bool) -> tuple[Member, ...]:
    found = []
    for name, kind, offset in struct.iter_unpack("<III", more):
        bits = offset >> 24 if flag else 0
        found.append(Member(_text(strings, name), kind, offset & 0xFFFFFF if flag else offset, bits))
    return tuple(found)
