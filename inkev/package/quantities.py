"""Column types that are amounts: integers, durations, rates, sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from inkev.package.codec import HOST_ORDER, BadValueError, Codec, decode_unsigned, encode_unsigned, text_of

_AMOUNT = re.compile(r"([0-9]{1,24}(?:\.[0-9]{1,24})?)\s*([A-Za-z/]+)")
_U64 = (1 << 64) - 1

DURATION_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
SIZE_BYTES = {"B": 1, "kB": 10**3, "KiB": 1 << 10, "MB": 10**6, "MiB": 1 << 20, "GB": 10**9, "GiB": 1 << 30}
_SCALE = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Rate(NamedTuple):
    """Bits or packets a second."""

    per_second: int
    packets: bool


def integer(bits: int, *, signed: bool) -> Codec:
    """Return the codec of one C integer type."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def parse(raw: object) -> int:
        value = parse_integer(raw)
        if not low <= value <= high:
            raise BadValueError(f"{value} is not within {low} to {high}")
        return value

    def encode(value: int, size_bytes: int) -> bytes:
        try:
            return value.to_bytes(size_bytes, HOST_ORDER, signed=signed)
        except OverflowError:
            raise BadValueError(f"{value} does not fit in a C field of {size_bytes} bytes") from None

    def decode(raw: bytes) -> int:
        return int.from_bytes(raw, HOST_ORDER, signed=signed)

    return Codec(parse, int, encode, decode, int)


def parse_integer(raw: object) -> int:
    """Return a whole number from a TOML integer or from decimal or 0x text."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    text = text_of(raw)
    if not re.fullmatch(r"[+-]?(0x[0-9a-fA-F]{1,32}|[0-9]{1,32})", text, re.ASCII):
        raise BadValueError(f"{text!r} is not a whole number")
    return int(text, 16 if "x" in text else 10)


def parse_duration(raw: object) -> int:
    """Return nanoseconds from a number with its unit: `5s`, `200ms`, `1.5h`."""
    if raw == 0 and not isinstance(raw, bool):
        return 0
    amount, unit = _split(raw, "5s or 200ms")
    return _whole(amount, DURATION_NS, unit)


def format_duration(value: int) -> str:
    """Return the duration in the largest unit that keeps it whole."""
    return _largest(value, DURATION_NS, "s")


def parse_size(raw: object) -> int:
    """Return bytes from a plain number or one with its unit: `1500`, `64KiB`, `1MB`."""
    if isinstance(raw, int) or (isinstance(raw, str) and raw.strip().isdecimal()):
        return _bounded(parse_integer(raw))
    amount, unit = _split(raw, "1500, 64KiB or 1MB")
    return _whole(amount, SIZE_BYTES, unit)


def format_size(value: int) -> str:
    """Return the size in the largest unit that keeps it whole."""
    return _largest(value, SIZE_BYTES, "B")


def parse_rate(raw: object) -> Rate:
    """Return bits or packets a second: `10Mbit/s`, `1.25MB/s`, `5kpps`."""
    amount, unit = _split(raw, "10Mbit/s or 5kpps")
    found = re.fullmatch(r"([kKmMgGtT]?)(bit/s|bit|bps|B/s|pps)", unit)
    if not found:
        raise BadValueError(f"{unit!r} is no unit of rate; there are bit/s, B/s and pps, with k, M, G or T before them")
    prefix = found[1].lower() if found[1] in "kK" else found[1].upper()
    per_second = _scaled(amount, _SCALE[prefix] * (8 if found[2] == "B/s" else 1))
    if per_second >> 63:
        raise BadValueError("more than 9.2 Ebit/s or packets a second")
    return Rate(per_second, found[2] == "pps")


def format_rate(value: Rate) -> str:
    """Return the rate in the largest unit that keeps it whole."""
    unit = "pps" if value.packets else "bit/s"
    return _largest(value.per_second, {prefix + unit: factor for prefix, factor in _SCALE.items()}, unit)


def encode_rate(value: Rate, size_bytes: int) -> bytes:
    """Return the amount with the field's top bit set where it counts packets; bits a second otherwise."""
    top = 8 * size_bytes - 1
    if value.per_second >> top:
        raise BadValueError(f"{format_rate(value)} does not fit in a C field of {size_bytes} bytes")
    return encode_unsigned(value.per_second | value.packets << top, size_bytes)


def decode_rate(raw: bytes) -> Rate:
    """Return the rate that `encode_rate` wrote."""
    top = 8 * len(raw) - 1
    stored = decode_unsigned(raw)
    return Rate(stored & ~(1 << top), bool(stored >> top))


def _split(raw: object, examples: str) -> tuple[Decimal, str]:
    found = _AMOUNT.fullmatch(text_of(raw))
    if not found:
        raise BadValueError(f"{raw!r} is not a number with a unit, such as {examples}")
    try:
        return Decimal(found[1]), found[2]
    except InvalidOperation:
        raise BadValueError(f"{raw!r} is not a number with a unit, such as {examples}") from None


def _whole(amount: Decimal, units: dict[str, int], unit: str) -> int:
    if unit not in units:
        raise BadValueError(f"{unit!r} is no unit here; there are {', '.join(units)}")
    return _scaled(amount, units[unit])


def _scaled(amount: Decimal, factor: int) -> int:
    numerator, denominator = amount.as_integer_ratio()
    value, rest = divmod(numerator * factor, denominator)
    if rest:
        raise BadValueError("is finer than the smallest unit")
    return _bounded(value)


def _bounded(value: int) -> int:
    if not 0 <= value <= _U64:
        raise BadValueError(f"{value} is not within 0 to {_U64}")
    return value


def _largest(value: int, units: dict[str, int], zero: str) -> str:
    if value == 0:
        return f"0{zero}"
    unit = max((unit for unit, factor in units.items() if value % factor == 0), key=lambda unit: units[unit])
    return f"{value // units[unit]}{unit}"


def _amount(parse: Callable[[object], int], show: Callable[[int], str]) -> Codec:
    return Codec(parse, show, encode_unsigned, decode_unsigned, int)


QUANTITIES: dict[str, Codec] = {
    "u8": integer(8, signed=False),
    "u16": integer(16, signed=False),
    "u32": integer(32, signed=False),
    "u64": integer(64, signed=False),
    "i32": integer(32, signed=True),
    "i64": integer(64, signed=True),
    "duration": _amount(parse_duration, format_duration),
    "size": _amount(parse_size, format_size),
    "rate": Codec(parse_rate, format_rate, encode_rate, decode_rate, lambda rate: rate.per_second),
}
