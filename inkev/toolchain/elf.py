"""A little of ELF64, little-endian, as BPF objects use it: sections, symbols, relocations. Reads bytes, trusts nothing.

Loading is libbpf's; this is for looking at what a compiler or linker made.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQ")
_SHT_SYMTAB, _SHT_REL, _SHT_NOBITS = 2, 9, 8
_SHF_EXECINSTR = 4


class ElfError(ValueError):
    """The bytes are not a BPF object."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section with its bytes."""

    name: str
    kind: int
    flags: int
    data: bytes
    size: int
    link: int
    info: int

    @property
    def is_code(self) -> bool:
        """True where it holds instructions."""
        return bool(self.flags & _SHF_EXECINSTR) and self.size > 0


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol; `section` is a number, 0 where nothing here defines it."""

    name: str
    info: int
    section: int
    value: int
    size: int

    @property
    def is_function(self) -> bool:
        """True for STT_FUNC."""
        return self.info & 15 == 2


@dataclass(frozen=True, slots=True)
class Relocation:
    """Something in `section` (a number) at `offset` refers to `symbol`."""

    section: int
    offset: int
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Elf:
    """An object."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]

    def find_section(self, name: str) -> Section | None:
        """Return the first section of that name, or None."""
        return next((section for section in self.sections if section.name == name), None)


def read_elf(raw: bytes) -> Elf:
    """Return the object.

    Raises:
        ElfError: the bytes are cut short or not ELF64.
    """
    try:
        return _read(raw)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ElfError(f"not a BPF object: {error}") from error


def _read(raw: bytes) -> Elf:
    header = _HEADER.unpack_from(raw)
    if header[0][:6] != b"\x7fELF\x02\x01":
        raise ElfError("not a 64-bit little-endian ELF file")
    offset, width, count, names = header[6], header[11], header[12], header[13]
    rows = [_SECTION.unpack_from(raw, offset + width * place) for place in range(count)]
    strings = _slice(raw, rows[names])
    sections = tuple(
        Section(_text(strings, row[0]), row[1], row[2], _slice(raw, row), row[5], row[6], row[7]) for row in rows
    )
    symbols = _symbols(sections)
    return Elf(sections, symbols, _relocations(sections, symbols))


def _slice(raw: bytes, row: tuple[int, ...]) -> bytes:
    if row[1] == _SHT_NOBITS:
        return b""
    if row[4] + row[5] > len(raw):
        raise ElfError("a section lies beyond the end")
    return raw[row[4] : row[4] + row[5]]


def _text(strings: bytes, offset: int) -> str:
    return strings[offset : strings.index(0, offset) if 0 in strings[offset:] else None].decode()


def _symbols(sections: tuple[Section, ...]) -> tuple[Symbol, ...]:
    table = next((section for section in sections if section.kind == _SHT_SYMTAB), None)
    if table is None:
        return ()
    strings = sections[table.link].data
    return tuple(
        Symbol(_text(strings, row[0]), row[1], row[3], row[4], row[5]) for row in _SYMBOL.iter_unpack(table.data)
    )


def _relocations(sections: tuple[Section, ...], symbols: tuple[Symbol, ...]) -> tuple[Relocation, ...]:
    return tuple(
        Relocation(section.info, offset, symbols[info >> 32])
        for section in sections
        if section.kind == _SHT_REL
        for offset, info in _RELOCATION.iter_unpack(section.data)
    )
