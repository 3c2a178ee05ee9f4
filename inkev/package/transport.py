"""Column types of the transport layer: ports, port ranges, protocols, TCP flags."""

from __future__ import annotations

from typing import NamedTuple

from inkev.package.codec import HOST_ORDER, BadValueError, Codec, decode_unsigned, encode_unsigned, exact_size, text_of
from inkev.package.quantities import parse_integer

_MAX_PORT = 65535
_MAX_PROTOCOL = 255

PROTOCOLS = {
    "any": 0, "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47, "esp": 50,
    "ah": 51, "icmpv6": 58, "ospf": 89, "pim": 103, "vrrp": 112, "l2tp": 115, "sctp": 132, "udplite": 136, "mpls": 137,
}
"""IANA protocol numbers by name. 0 stands for any: hop-by-hop options never are a packet's transport protocol."""

_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}

TCP_FLAGS = {"fin": 0x01, "syn": 0x02, "rst": 0x04, "psh": 0x08, "ack": 0x10, "urg": 0x20, "ece": 0x40, "cwr": 0x80}
"""Bits of byte 13 of the TCP header (RFC 9293, 3.1)."""


class PortRange(NamedTuple):
    """L4 ports from `low` to `high`, both included."""

    low: int
    high: int


ANY_PORT = PortRange(0, _MAX_PORT)


class TcpFlags(NamedTuple):
    """A packet matches where `flags & mask == value`."""

    value: int
    mask: int


def parse_l4port(raw: object) -> int:
    """Return one TCP, UDP or SCTP port number."""
    port = parse_integer(raw)
    if not 0 <= port <= _MAX_PORT:
        raise BadValueError(f"{port} is not within 0 to {_MAX_PORT}")
    return port


def parse_l4ports(raw: object) -> PortRange:
    """Return a range: `80`, `1024-65535`, `any`."""
    if isinstance(raw, int):
        return PortRange(parse_l4port(raw), parse_l4port(raw))
    text = text_of(raw)
    if text == "any":
        return ANY_PORT
    low, dash, high = text.partition("-")
    ports = PortRange(parse_l4port(low), parse_l4port(high if dash else low))
    if ports.low > ports.high:
        raise BadValueError(f"{text!r} ends before it begins")
    return ports


def format_l4ports(value: PortRange) -> str:
    """Return `any`, one port, or the first and the last."""
    if value == ANY_PORT:
        return "any"
    return str(value.low) if value.low == value.high else f"{value.low}-{value.high}"


def parse_protocol(raw: object) -> int:
    """Return an IP protocol number from its name or number."""
    if isinstance(raw, str) and raw.strip().lower() in PROTOCOLS:
        return PROTOCOLS[raw.strip().lower()]
    try:
        number = parse_integer(raw)
    except ValueError:
        raise BadValueError(f"{raw!r} is no protocol; there are numbers and {', '.join(PROTOCOLS)}") from None
    if not 0 <= number <= _MAX_PROTOCOL:
        raise BadValueError(f"{number} is not within 0 to {_MAX_PROTOCOL}")
    return number


def format_protocol(value: int) -> str:
    """Return the protocol's name, or its number where it has none."""
    return _PROTOCOL_NAMES.get(value, str(value))


def parse_tcp_flags(raw: object) -> TcpFlags:
    """Return which flags must be set and which must not: `syn`, `!ack`, `syn,!ack`, `any`."""
    text = text_of(raw)
    value = mask = 0
    for word in () if text == "any" else text.lower().split(","):
        name = word.strip()
        bit = TCP_FLAGS.get(name.removeprefix("!"))
        if bit is None:
            raise BadValueError(f"{name!r} is no TCP flag; there are {', '.join(TCP_FLAGS)}, each may follow !")
        if mask & bit:
            raise BadValueError(f"{name.removeprefix('!')!r} stands twice")
        mask |= bit
        value |= 0 if name.startswith("!") else bit
    return TcpFlags(value, mask)


def format_tcp_flags(value: TcpFlags) -> str:
    """Return the flags that matter in the order of their bits, `any` where none does."""
    words = [("" if value.value & bit else "!") + name for name, bit in TCP_FLAGS.items() if value.mask & bit]
    return ",".join(words) or "any"


def _encode_l4port(value: int, size_bytes: int) -> bytes:
    exact_size(size_bytes, 2)
    return value.to_bytes(2, "big")


def _encode_l4ports(value: PortRange, size_bytes: int) -> bytes:
    # In the machine's order: a range is compared with, not looked up.
    exact_size(size_bytes, 4)
    return value.low.to_bytes(2, HOST_ORDER) + value.high.to_bytes(2, HOST_ORDER)


def _decode_l4ports(raw: bytes) -> PortRange:
    return PortRange(int.from_bytes(raw[:2], HOST_ORDER), int.from_bytes(raw[2:4], HOST_ORDER))


def _encode_tcp_flags(value: TcpFlags, size_bytes: int) -> bytes:
    exact_size(size_bytes, 2)
    return bytes(value)


TRANSPORT: dict[str, Codec] = {
    "l4port": Codec(parse_l4port, int, _encode_l4port, lambda raw: int.from_bytes(raw, "big"), int),
    "l4ports": Codec(parse_l4ports, format_l4ports, _encode_l4ports, _decode_l4ports),
    "protocol": Codec(parse_protocol, format_protocol, encode_unsigned, decode_unsigned),
    "tcp-flags": Codec(parse_tcp_flags, format_tcp_flags, _encode_tcp_flags, lambda raw: TcpFlags(raw[0], raw[1])),
}
