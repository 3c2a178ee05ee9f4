"""A few frames, made by hand."""

from __future__ import annotations

import struct

ETHER = bytes.fromhex("020000000001020000000002")


def ipv4(ttl: int = 64, protocol: int = 17, payload: bytes = b"\x04\xd2\x00\x35\x00\x08\x00\x00") -> bytes:
    """Return an IPv4 frame of at least 60 bytes."""
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, ttl, protocol, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    )
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:]
    return (ETHER + b"\x08\x00" + head + payload).ljust(60, b"\0")


def arp() -> bytes:
    """Return an ARP frame."""
    return (ETHER + b"\x08\x06" + bytes.fromhex("0001080006040001")).ljust(60, b"\0")
