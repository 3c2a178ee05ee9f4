"""What the library must find in a frame, said a second time: slowly, by slices, with no pointer in sight."""

from __future__ import annotations

from dataclasses import dataclass

PARSED, FRAGMENT, LATER, MALFORMED, HAS_L4, GROUP = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
ETH, ARP, IPV4, IPV6, TCP, UDP, ICMP, ICMPV6 = (1 << bit for bit in range(8))
TAGS = (0x8100, 0x88A8)
HEADER_BYTES = {6: 20, 17: 8, 1: 8, 58: 8}
HEADER_BITS = {6: TCP, 17: UDP, 1: ICMP, 58: ICMPV6}
EXTENSIONS = {0, 43, 44, 51, 60}
EXTENSION_DEPTH = 6
LAST_OFFSET = 511


class MalformedError(Exception):
    """A length or a bound is wrong."""


@dataclass
class Headers:
    """What is known of a frame."""

    ether_type: int = 0
    vlan: int = 0
    l3_offset: int = 14
    l4_offset: int = 0
    l4_protocol: int = 0
    flags: int = PARSED
    present: int = 0


def number(data: bytes, at: int, size: int) -> int:
    """Return a number in network order that must be there."""
    if at + size > len(data):
        raise MalformedError
    return int.from_bytes(data[at : at + size], "big")


def parse(frame: bytes, offloaded_vlan: int = 0) -> Headers:
    """Return what must be found."""
    found = Headers(vlan=offloaded_vlan)
    found.present = ETH if len(frame) >= 14 else 0
    try:
        _parse_link(frame, found)
        _parse_network(frame, found)
    except MalformedError:
        found.flags |= MALFORMED
        found.flags &= ~HAS_L4
        found.present &= ETH
    return found


def _parse_link(frame: bytes, found: Headers) -> None:
    found.ether_type = number(frame, 12, 2)
    found.flags |= GROUP if frame[0] & 1 else 0
    for _ in range(2):
        if found.ether_type not in TAGS:
            return
        tci, inner = number(frame, found.l3_offset, 2), number(frame, found.l3_offset + 2, 2)
        found.vlan = found.vlan or tci & 0xFFF
        found.ether_type = inner
        found.l3_offset += 4


def _parse_network(frame: bytes, found: Headers) -> None:
    if found.ether_type == 0x0800:
        found.present |= IPV4
        _parse_ipv4(frame, found)
    elif found.ether_type == 0x86DD:
        found.present |= IPV6
        _parse_ipv6(frame, found)
    elif found.ether_type == 0x0806:
        number(frame, found.l3_offset, 28)
        found.present |= ARP


def _parse_ipv4(frame: bytes, found: Headers) -> None:
    packet = frame[found.l3_offset :]
    number(packet, 0, 20)
    version, header, total = packet[0] >> 4, (packet[0] & 15) * 4, number(packet, 2, 2)
    if version != 4 or header < 20 or total < header or total > len(packet):
        raise MalformedError
    fragment = number(packet, 6, 2)
    found.flags |= FRAGMENT if fragment & 0x3FFF else 0
    found.flags |= LATER if fragment & 0x1FFF else 0
    found.l4_protocol = packet[9]
    found.l4_offset = found.l3_offset + header
    _parse_transport(packet[header:total], found)


def _parse_ipv6(frame: bytes, found: Headers) -> None:
    packet = frame[found.l3_offset :]
    number(packet, 0, 40)
    payload = number(packet, 4, 2)
    if packet[0] >> 4 != 6 or payload > len(packet) - 40:
        raise MalformedError
    found.l4_protocol = packet[6]
    found.l4_offset = found.l3_offset + 40
    body = _parse_extensions(packet[40 : 40 + payload], packet[40:], found)
    _parse_transport(body, found)


def _parse_extensions(body: bytes, room: bytes, found: Headers) -> bytes:
    """Return what follows the extension headers; their first eight bytes must be in the frame."""
    for _ in range(EXTENSION_DEPTH):
        if found.l4_protocol not in EXTENSIONS:
            return body
        number(room, 0, 8)
        kind, length = found.l4_protocol, room[1]
        size = {44: 8, 51: (length + 2) * 4}.get(kind, (length + 1) * 8)
        if size > len(body) or found.l4_offset + size > LAST_OFFSET:
            raise MalformedError
        found.l4_protocol = room[0]
        found.l4_offset += size
        if kind == 44:
            fragment = number(room, 2, 2)
            found.flags |= FRAGMENT if fragment & 0xFFF9 else 0
            found.flags |= LATER if fragment & 0xFFF8 else 0
        body, room = body[size:], room[size:]
        if found.flags & LATER:
            return body
    if found.l4_protocol in EXTENSIONS:
        raise MalformedError
    return body


def _parse_transport(body: bytes, found: Headers) -> None:
    if found.flags & LATER or found.l4_protocol not in HEADER_BYTES:
        return
    number(body, 0, HEADER_BYTES[found.l4_protocol])
    if found.l4_protocol == 6 and not 20 <= (body[12] >> 4) * 4 <= len(body):
        raise MalformedError
    found.flags |= HAS_L4
    found.present |= HEADER_BITS[found.l4_protocol]
