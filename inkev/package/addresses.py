"""Column types that are addresses: IPv4, IPv6, either, their prefixes, MACs.

Either family in one field is 16 bytes with IPv4 mapped into ::ffff:0:0/96 (RFC 4291, 2.5.5.2). Prefixes are laid out as
the kernel's LPM trie keys are: a 32-bit length in the machine's order, then the address in the network's.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from inkev.package.codec import HOST_ORDER, BadValueError, Codec, exact_size, text_of

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LENGTH_BYTES = 4
_MAPPED = bytes(10) + b"\xff\xff"
_MAPPED_BITS = 8 * len(_MAPPED)
EVERYTHING = IPv6Network("::/0")
"""`any` for a prefix of either family: covers mapped IPv4 too."""


def parse_ip(raw: object) -> Address:
    """Return an address of either family; mapped IPv4 becomes IPv4."""
    if isinstance(raw, IPv4Address | IPv6Address):
        return _unmapped(raw)
    text = text_of(raw)
    if "%" in text:
        raise BadValueError(f"{text!r} has a zone; packets do not")
    try:
        return _unmapped(ip_address(text))
    except ValueError:
        raise BadValueError(f"{text!r} is not an IP address") from None


def parse_ipv4(raw: object) -> IPv4Address:
    """Return an IPv4 address."""
    address = parse_ip(raw)
    if not isinstance(address, IPv4Address):
        raise BadValueError(f"{raw!s} is not an IPv4 address")
    return address


def parse_ipv6(raw: object) -> IPv6Address:
    """Return an IPv6 address, mapped IPv4 included."""
    if isinstance(raw, IPv6Address):
        return raw
    text = text_of(raw)
    try:
        return IPv6Address(_zoneless(text))
    except ValueError:
        raise BadValueError(f"{text!r} is not an IPv6 address") from None


def parse_prefix(raw: object) -> Network:
    """Return a prefix of either family; `any` is every address of both."""
    if raw == "any":
        return EVERYTHING
    network = _network(raw)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def parse_prefix4(raw: object) -> IPv4Network:
    """Return an IPv4 prefix; `any` is 0.0.0.0/0."""
    network = _network("0.0.0.0/0" if raw == "any" else raw)
    if not isinstance(network, IPv4Network):
        raise BadValueError(f"{raw!s} is not an IPv4 prefix")
    return network


def parse_prefix6(raw: object) -> IPv6Network:
    """Return an IPv6 prefix; `any` is ::/0."""
    network = _network("::/0" if raw == "any" else raw)
    if not isinstance(network, IPv6Network):
        raise BadValueError(f"{raw!s} is not an IPv6 prefix")
    return network


def format_prefix(value: Network) -> str:
    """Return `any` for both families at once, else address and length."""
    return "any" if value == EVERYTHING else str(value)


def parse_mac(raw: object) -> bytes:
    """Return the six bytes of a MAC address written with colons or dashes."""
    if isinstance(raw, bytes) and len(raw) == 6:
        return raw
    text = text_of(raw)
    if not re.fullmatch(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}", text):
        raise BadValueError(f"{text!r} is not a MAC address such as 02:00:00:00:00:01")
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def _zoneless(text: str) -> str:
    if "%" in text:
        raise BadValueError("zone")
    return text


def _unmapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _network(raw: object) -> Network:
    if isinstance(raw, IPv4Network | IPv6Network):
        return raw
    text = text_of(raw)
    try:
        loose = ip_network(_zoneless(text), strict=False)
    except ValueError:
        raise BadValueError(f"{text!r} is not an address or a prefix") from None
    if text.partition("/")[0] != "" and ip_address(text.partition("/")[0]) != loose.network_address:
        raise BadValueError(f"{text!r} has bits set beyond its length; write {loose}")
    return loose


def _encode_address(value: Address, size_bytes: int) -> bytes:
    exact_size(size_bytes, len(value.packed))
    return value.packed


def _encode_ip(value: Address, size_bytes: int) -> bytes:
    exact_size(size_bytes, 16)
    return value.packed if isinstance(value, IPv6Address) else _MAPPED + value.packed


def _decode_ip(raw: bytes) -> Address:
    return _unmapped(IPv6Address(raw))


def _encode_network(value: Network, size_bytes: int) -> bytes:
    packed = value.network_address.packed
    exact_size(size_bytes, _LENGTH_BYTES + len(packed))
    return value.prefixlen.to_bytes(_LENGTH_BYTES, HOST_ORDER) + packed


def _encode_prefix(value: Network, size_bytes: int) -> bytes:
    exact_size(size_bytes, _LENGTH_BYTES + 16)
    length = value.prefixlen + (_MAPPED_BITS if isinstance(value, IPv4Network) else 0)
    return length.to_bytes(_LENGTH_BYTES, HOST_ORDER) + _encode_ip(value.network_address, 16)


def _decode_prefix4(raw: bytes) -> IPv4Network:
    length, address = _halves(raw)
    return IPv4Network((address, length), strict=False)


def _decode_prefix6(raw: bytes) -> IPv6Network:
    length, address = _halves(raw)
    return IPv6Network((address, length), strict=False)


def _decode_prefix(raw: bytes) -> Network:
    return parse_prefix(_decode_prefix6(raw))


def _halves(raw: bytes) -> tuple[int, bytes]:
    return int.from_bytes(raw[:_LENGTH_BYTES], HOST_ORDER), raw[_LENGTH_BYTES:]


def _encode_mac(value: bytes, size_bytes: int) -> bytes:
    exact_size(size_bytes, 6, 8)
    return value.ljust(size_bytes, b"\0")


ADDRESSES: dict[str, Codec] = {
    "ipv4": Codec(parse_ipv4, str, _encode_address, IPv4Address),
    "ipv6": Codec(parse_ipv6, str, _encode_address, IPv6Address),
    "ip": Codec(parse_ip, str, _encode_ip, _decode_ip),
    "prefix4": Codec(parse_prefix4, str, _encode_network, _decode_prefix4),
    "prefix6": Codec(parse_prefix6, str, _encode_network, _decode_prefix6),
    "prefix": Codec(parse_prefix, format_prefix, _encode_prefix, _decode_prefix),
    "mac": Codec(parse_mac, lambda value: value.hex(":"), _encode_mac, lambda raw: raw[:6]),
}
