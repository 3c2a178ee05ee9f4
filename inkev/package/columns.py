"""Typed values of tables and configuration: text or TOML to Python values, to the bytes of a C field, and back.

Addresses are `ipaddress` objects above this module; byte order is known only here and below.
Laws: parse(format(x)) == x and decode(encode(x)) == x for every value x of every type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from inkev.base.errors import UserError
from inkev.package.addresses import ADDRESSES
from inkev.package.codec import BadValueError, Codec, ColumnValue, Shown, decode_unsigned, encode_unsigned, text_of
from inkev.package.quantities import QUANTITIES
from inkev.package.suggest import did_you_mean
from inkev.package.transport import TRANSPORT

FindInterface = Callable[[str], int]
NameInterface = Callable[[int], str]

_INTERFACE = re.compile(r"[^\s/\0]{1,15}")


def parse_value(
    column_type: str,
    raw: object,
    *,
    values: Sequence[str] = (),
    minimum: int | None = None,
    maximum: int | None = None,
    column: str = "",
    find_interface: FindInterface | None = None,
) -> ColumnValue:
    """Return the Python value of what stands in a file or on the command line.

    Args:
        column_type: a name of `COLUMN_TYPES`.
        raw: text, or what TOML made of it.
        values: the names of an `enum`, numbered from 0; its value is the number.
        minimum: least amount allowed, in the type's own unit (ns, bytes, bits or packets a second).
        maximum: greatest amount allowed.
        column: the column's or option's name, for the error.
        find_interface: interface name to index; without it an `interface` stays its name.

    Raises:
        UserError: `bad-value`, `value-out-of-range`, `unknown-column-type`.
    """
    codec = _codec(column_type, values, column)
    try:
        value = codec.parse(raw)
    except ValueError as error:
        raise _bad_value(column, column_type, str(error)) from None
    _check_range(codec, value, minimum, maximum, column)
    if column_type == "interface" and isinstance(value, str) and find_interface is not None:
        return find_interface(value)
    return value


def format_value(column_type: str, value: ColumnValue, values: Sequence[str] = (),
                 name_interface: NameInterface | None = None) -> Shown:
    """Return the canonical form that `parse_value` reads back to the same value."""
    if column_type == "interface" and isinstance(value, int) and value and name_interface is not None:
        return name_interface(value)
    return _codec(column_type, values, "").format(value)


def encode(column_type: str, value: ColumnValue, size_bytes: int, column: str = "") -> bytes:
    """Return the value as the `size_bytes` bytes of its C field.

    Raises:
        UserError: `bad-value` where it does not fit, or where an interface has not been resolved to its index.
    """
    try:
        return _codec(column_type, (), column).encode(value, size_bytes)
    except ValueError as error:
        raise _bad_value(column, column_type, str(error)) from None


def decode(column_type: str, raw: bytes, values: Sequence[str] = (), column: str = "") -> ColumnValue:
    """Return the Python value of a C field's bytes.

    Raises:
        UserError: `bad-value` where the bytes are no value of the type.
    """
    try:
        value = _codec(column_type, values, column).decode(raw)
    except ValueError as error:
        raise _bad_value(column, column_type, str(error)) from None
    if column_type == "enum" and values and value >= len(values):
        raise _bad_value(column, column_type, f"{value} is beyond its {len(values)} names")
    return value


def has_order(column_type: str) -> bool:
    """Return whether `minimum` and `maximum` mean something for the type."""
    return column_type in COLUMN_TYPES and COLUMN_TYPES[column_type].magnitude is not None


def _codec(column_type: str, values: Sequence[str], column: str) -> Codec:
    if column_type == "enum":
        return _enum(values)
    try:
        return COLUMN_TYPES[column_type]
    except KeyError:
        raise UserError(
            "unknown-column-type", f"there is no column type {column_type!r}", where=column,
            hint=did_you_mean(column_type, COLUMN_TYPES) or f"there are {', '.join(sorted(COLUMN_TYPES))}",
        ) from None


def _bad_value(column: str, column_type: str, why: str) -> UserError:
    name = f" for {column}" if column else ""
    return UserError("bad-value", f"wrong value{name}, which is of type {column_type}", where=column, why=why)


def _check_range(codec: Codec, value: ColumnValue, minimum: int | None, maximum: int | None, column: str) -> None:
    if codec.magnitude is None or (minimum is None and maximum is None):
        return
    amount = codec.magnitude(value)
    if (minimum is not None and amount < minimum) or (maximum is not None and amount > maximum):
        bounds = f"{'' if minimum is None else minimum} to {'' if maximum is None else maximum}".strip()
        subject = f"{column} = {codec.format(value)}" if column else f"{codec.format(value)}"
        raise UserError("value-out-of-range", f"{subject} is out of range", where=column, why=f"allowed is {bounds}")


def _enum(names: Sequence[str]) -> Codec:
    def parse(raw: object) -> int:
        if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < len(names):
            return raw
        text = text_of(raw)
        if text in names:
            return names.index(text)
        raise BadValueError(f"{text!r} is not one of {', '.join(names)}{_question(did_you_mean(text, names))}")

    def show(value: int) -> Shown:
        return names[value] if value < len(names) else value

    return Codec(parse, show, encode_unsigned, decode_unsigned)


def _question(hint: str) -> str:
    return f"; {hint}" if hint else ""


def _parse_bool(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    words = {"true": True, "false": False}
    found = words.get(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise BadValueError(f"{raw!r} is neither true nor false")
    return found


def _parse_bytes(raw: object) -> bytes:
    if isinstance(raw, bytes):
        return raw
    text = text_of(raw).removeprefix("0x").replace(":", "")
    if len(text) % 2 or not re.fullmatch(r"[0-9a-fA-F]*", text):
        raise BadValueError(f"{raw!r} is not an even number of hexadecimal digits")
    return bytes.fromhex(text)


def _encode_bytes(value: bytes, size_bytes: int) -> bytes:
    if len(value) != size_bytes:
        raise BadValueError(f"has {len(value)} bytes, but its C field has {size_bytes}")
    return value


def _parse_text(raw: object) -> str:
    if not isinstance(raw, str):
        raise BadValueError(f"expected text, got {raw!r}")
    if "\0" in raw or not raw.isprintable():
        raise BadValueError("has characters that do not print")
    return raw


def _encode_text(value: str, size_bytes: int) -> bytes:
    raw = value.encode()
    if len(raw) >= size_bytes:
        raise BadValueError(f"has {len(raw)} bytes and a closing zero, but its C field has {size_bytes}")
    return raw.ljust(size_bytes, b"\0")


def _decode_text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode(errors="replace")


def _parse_interface(raw: object) -> str | int:
    if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0:
        return raw
    text = text_of(raw)
    if text == "any":
        return 0
    if re.fullmatch(r"#[0-9]{1,9}", text, re.ASCII):
        return int(text[1:])
    if not _INTERFACE.fullmatch(text) or text in {".", ".."}:
        raise BadValueError(f"{text!r} cannot be the name of an interface")
    return text


def _format_interface(value: str | int) -> Shown:
    if isinstance(value, str):
        return value
    return f"#{value}" if value else "any"


def _encode_interface(value: str | int, size_bytes: int) -> bytes:
    if isinstance(value, str):
        raise BadValueError(f"interface {value!r} has not been looked up")
    return encode_unsigned(value, size_bytes)


COLUMN_TYPES: dict[str, Codec] = {
    **QUANTITIES,
    **ADDRESSES,
    **TRANSPORT,
    "bool": Codec(_parse_bool, bool, lambda value, size: encode_unsigned(int(value), size), any),
    "bytes": Codec(_parse_bytes, bytes.hex, _encode_bytes, bytes),
    "text": Codec(_parse_text, str, _encode_text, _decode_text),
    "enum": _enum(()),
    "interface": Codec(_parse_interface, _format_interface, _encode_interface, decode_unsigned),
}
"""Every type that a column or an option may have."""
