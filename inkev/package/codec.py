"""The shape of one column type's conversions; `inkev.package.columns` holds the list of them.

The functions of a codec say what is wrong by ValueError; the caller knows the column and makes the error of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

HOST_ORDER: Literal["little", "big"] = sys.byteorder
"""Plain C integers in maps and configuration are in the machine's order; what is in packets is in the network's."""

class BadValueError(ValueError):
    """Why a value does not fit its type."""


ColumnValue = Any
"""What a type's values are: int, str, bytes, an `ipaddress` object, or a named tuple; each codec knows its own."""

Shown = str | int | bool
"""The canonical text form of a value; numbers and truth stay what TOML and JSON can say themselves."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one column type is read, shown, and laid out in memory."""

    parse: Callable[[object], ColumnValue]
    format: Callable[[ColumnValue], Shown]
    encode: Callable[[ColumnValue, int], bytes]
    """Value and size in bytes of the C field."""
    decode: Callable[[bytes], ColumnValue]
    magnitude: Callable[[ColumnValue], int] | None = None
    """What `minimum` and `maximum` are compared with; None for types without an order."""


def text_of(raw: object) -> str:
    """Return the raw value where it is text, without blanks around it."""
    if not isinstance(raw, str):
        raise BadValueError(f"expected text, got {raw!r}")
    return raw.strip()


def exact_size(size_bytes: int, *allowed: int) -> None:
    """Refuse a C field that the type does not fit in."""
    if size_bytes not in allowed:
        wanted = " or ".join(str(size) for size in allowed)
        raise BadValueError(f"takes {wanted} bytes, but its C field has {size_bytes}")


def encode_unsigned(value: int, size_bytes: int) -> bytes:
    """Return the machine's form of a number that is not negative."""
    if value >> (8 * size_bytes):
        raise BadValueError(f"{value} does not fit in a C field of {size_bytes} bytes")
    return value.to_bytes(size_bytes, HOST_ORDER)


def decode_unsigned(raw: bytes) -> int:
    """Return the number that the machine stored."""
    return int.from_bytes(raw, HOST_ORDER)
