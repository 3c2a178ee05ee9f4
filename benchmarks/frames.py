"""Test frames as bytes: 64-byte UDP and TCP over IPv4, made fast and the same in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import IPv4Address
from struct import Struct

FRAME_BYTES = 64
MANY = 10_000
"""How many different packets stand for "no cache helps"."""

UDP, TCP = 17, 6
_ETHERNET = Struct("!6s6sH")
_IPV4 = Struct("!BBHHHBBH4s4s")
_UDP = Struct("!HHHH")
_TCP = Struct("!HHIIBBHHH")
SYN, ACK = 0x02, 0x10


def mac(text: str) -> bytes:
    """Return the six bytes of a MAC in colon notation."""
    return bytes.fromhex(text.replace(":", ""))


def _ipv4_checksum(header: bytes) -> int:
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def frame(*, source_mac: bytes, target_mac: bytes, source: IPv4Address, target: IPv4Address, source_port: int,
          target_port: int, protocol: int = UDP, flags: int = ACK, ttl: int = 64) -> bytes:
    """Return one frame of FRAME_BYTES (no FCS). UDP carries no checksum, so none has to be made."""
    length = FRAME_BYTES - _ETHERNET.size
    fields = (0x45, 0, length, 0, 0x4000, ttl, protocol)
    bare = _IPV4.pack(*fields, 0, source.packed, target.packed)
    network = _IPV4.pack(*fields, _ipv4_checksum(bare), source.packed, target.packed)
    if protocol == UDP:
        transport = _UDP.pack(source_port, target_port, length - _IPV4.size, 0)
    else:
        transport = _TCP.pack(source_port, target_port, 1, 1, 0x50, flags, 8192, 0, 0)
    return (_ETHERNET.pack(target_mac, source_mac, 0x0800) + network + transport).ljust(FRAME_BYTES, b"\0")


def iter_flows(count: int, *, sources: IPv4Address, targets: IPv4Address, seed: int = 1) -> Iterator[
        tuple[IPv4Address, IPv4Address, int, int]]:
    """Yield different (source, target, source port, target port): addresses out of two /16 networks, seeded."""
    chance = random.Random(seed)
    seen: set[tuple[IPv4Address, IPv4Address, int, int]] = set()
    while len(seen) < count:
        flow = (sources + chance.randrange(1, 1 << 16), targets + chance.randrange(1, 1 << 16),
                chance.randrange(1024, 65536), chance.choice((53, 80, 443, 5353, 8080)))
        if flow not in seen:
            seen.add(flow)
            yield flow


def udp_frames(count: int, *, source_mac: bytes, target_mac: bytes,
               sources: IPv4Address = IPv4Address("10.1.0.0"), targets: IPv4Address = IPv4Address("10.2.0.0"),
               seed: int = 1) -> list[bytes]:
    """Return UDP frames of so many different flows."""
    return [frame(source_mac=source_mac, target_mac=target_mac, source=source, target=target, source_port=sport,
                  target_port=dport)
            for source, target, sport, dport in iter_flows(count, sources=sources, targets=targets, seed=seed)]
