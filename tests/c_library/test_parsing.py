"""The parser on the kernel agrees with its model, on packets named and mutated."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.c_library import model
from tests.c_library.harness import FORWARD, Loaded

pytestmark = pytest.mark.kernel

REPORT = struct.Struct("=IIIiiHHHHBBBx4s4s2s2sB3x16s16s2s2sB3x")
HOST, PEER, HOST6, PEER6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
E = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
V4, V6 = IP(src=HOST, dst=PEER), IPv6(src=HOST6, dst=PEER6)

PACKETS: dict[str, Packet] = {
    "tcp": E / V4 / TCP(sport=1, dport=2),
    "tcp options": E / V4 / TCP(sport=1, dport=2, options=[("MSS", 1460), ("SAckOK", b"")]) / Raw(b"data"),
    "tcp6": E / V6 / TCP(sport=1, dport=2) / Raw(b"data"),
    "udp": E / V4 / UDP(sport=5, dport=2) / Raw(b"data"),
    "udp6": E / V6 / UDP(sport=5, dport=2),
    "icmp": E / V4 / ICMP(id=9),
    "icmpv6": E / V6 / ICMPv6EchoRequest(id=9),
    "ip options": E / IP(src=HOST, dst=PEER, options=[b"\x94\x04\0\0"]) / UDP(sport=1, dport=2),
    "padded": E / V4 / UDP(sport=1, dport=2) / Raw(b"x") / Raw(bytes(17)),
    "first fragment": E / IP(src=HOST, dst=PEER, flags="MF") / UDP(sport=1, dport=2) / Raw(bytes(16)),
    "later fragment": E / IP(src=HOST, dst=PEER, frag=4, proto=17) / Raw(bytes(16)),
    "gre": E / IP(src=HOST, dst=PEER, proto=47) / Raw(bytes(8)),
    "arp": E / ARP(psrc=HOST, pdst=PEER),
    "broadcast": Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(psrc=HOST, pdst=PEER),
    "lldp": Ether(dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(b"neighbours"),
    "vlan": E / Dot1Q(vlan=7, prio=3) / V4 / TCP(sport=1, dport=2),
    "double tag": E / Dot1AD(vlan=8) / Dot1Q(vlan=9) / V6 / UDP(sport=1, dport=2),
    "triple tag": E / Dot1AD(vlan=8) / Dot1Q(vlan=9) / Dot1Q(vlan=10) / V4 / UDP(),
    "hop by hop": E / V6 / IPv6ExtHdrHopByHop() / TCP(sport=1, dport=2),
    "extensions": E / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting() / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2),
    "ah": E / V6 / AH(nh=17, payloadlen=4, icv=bytes(12)) / UDP(sport=1, dport=2),
    "first fragment 6": E / V6 / IPv6ExtHdrFragment(m=1, id=1, nh=17) / UDP(sport=1, dport=2) / Raw(bytes(16)),
    "later fragment 6": E / V6 / IPv6ExtHdrFragment(offset=3, id=1, nh=17) / Raw(bytes(16)),
    "atomic fragment": E / V6 / IPv6ExtHdrFragment(id=1, nh=17) / UDP(sport=1, dport=2),
    "no next header": E / IPv6(src=HOST6, dst=PEER6, nh=59),
    "short ihl": E / IP(src=HOST, dst=PEER, ihl=4) / UDP(),
    "too long": E / IP(src=HOST, dst=PEER, len=400) / UDP(),
    "too long 6": E / IPv6(src=HOST6, dst=PEER6, plen=400) / UDP(),
    "short doff": E / V4 / TCP(dataofs=4),
    "long doff": E / V4 / TCP(dataofs=15),
    "cut tcp": E / IP(src=HOST, dst=PEER, proto=6) / Raw(bytes(12)),
    "seven extensions": E / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt()
    / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / UDP(),
}
FRAMES = {name: bytes(packet) for name, packet in PACKETS.items()}


@dataclass
class Reported:
    """What the kernel's side wrote down."""

    headers: model.Headers
    length: int
    hash: int
    flow4: tuple[Any, ...] | None
    flow6: tuple[Any, ...] | None
    swapped: bool


def ask(loaded: Loaded, frame: bytes, program: str = "plain") -> Reported:
    assert loaded.run(program, frame).verdict == FORWARD
    fields = REPORT.unpack(loaded.maps["reports"].find(bytes(4)) or b"")
    present, length, hashed, status4, status6 = fields[:5]
    headers = model.Headers(*fields[5:9], l4_protocol=fields[9], flags=fields[10], present=present)
    return Reported(headers, length, hashed, fields[12:17] if not status4 else None,
                    fields[17:22] if not status6 else None, bool(fields[11]))


def agree(reported: model.Headers, expected: model.Headers) -> None:
    """Of a malformed packet only that is promised, and that no header is handed out."""
    if expected.flags & model.MALFORMED:
        assert reported.flags & model.MALFORMED
        assert reported.present == expected.present
        return
    assert reported == expected


@pytest.fixture(scope="module", params=["xdp", "tc"])
def report(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    with Loaded("report", request.param) as loaded:
        yield loaded


@pytest.mark.parametrize("name", FRAMES)
def test_a_named_packet_is_parsed_as_the_model_says(report: Loaded, name: str) -> None:
    agree(ask(report, FRAMES[name]).headers, model.parse(FRAMES[name]))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A known packet with some bytes changed, cut or prolonged; or noise."""
    frame = bytearray(draw(st.sampled_from(list(FRAMES.values()))))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(frame) - 1) | st.integers(12, min(60, len(frame) - 1)))
        frame[place] = draw(st.integers(0, 255) | st.sampled_from([0, 6, 17, 43, 44, 51, 58, 60, 0x45, 0x60]))
    end = draw(st.just(len(frame)) | st.integers(15, len(frame)))
    return bytes(frame[:end]) + draw(st.just(b"") | st.binary(max_size=40))


def fits_a_test_run(frame: bytes) -> bool:
    """For tc the kernel makes no socket buffer of a frame that ends within its IP header."""
    return len(frame) >= 14 + {0x0800: 20, 0x86DD: 40}.get(int.from_bytes(frame[12:14], "big"), 1)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=mutated() | st.binary(min_size=15, max_size=200))
def test_any_packet_is_parsed_as_the_model_says(report: Loaded, frame: bytes) -> None:
    assume(fits_a_test_run(frame))
    reported = ask(report, frame)
    agree(reported.headers, model.parse(frame))
    assert reported.length == len(frame)


def test_a_tag_that_the_device_took_off_counts(report: Loaded) -> None:
    for name in ("tcp", "udp6", "arp"):
        headers = ask(report, FRAMES[name], "tagged").headers
        assert (headers.vlan, headers.present) == (77, model.parse(FRAMES[name]).present)


@pytest.mark.parametrize(("there", "back", "family"), [
    (E / V4 / TCP(sport=1, dport=2), E / IP(src=PEER, dst=HOST) / TCP(sport=2, dport=1), "flow4"),
    (E / V6 / UDP(sport=1, dport=2), E / IPv6(src=PEER6, dst=HOST6) / UDP(sport=2, dport=1), "flow6"),
    (E / V4 / ICMP(type=8, id=9), E / IP(src=PEER, dst=HOST) / ICMP(type=0, id=9), "flow4"),
    (E / IP(src=HOST, dst=HOST) / UDP(sport=1, dport=2), E / IP(src=HOST, dst=HOST) / UDP(sport=2, dport=1), "flow4"),
])
def test_both_directions_have_one_key_and_one_hash(report: Loaded, there: Packet, back: Packet, family: str) -> None:
    one, other = ask(report, bytes(there)), ask(report, bytes(back))
    assert getattr(one, family) == getattr(other, family) is not None
    assert one.hash == other.hash != 0
    assert one.swapped != other.swapped


def test_what_is_no_ip_has_no_flow(report: Loaded) -> None:
    reported = ask(report, FRAMES["arp"])
    assert (reported.flow4, reported.flow6, reported.hash) == (None, None, 0)


def test_hashes_of_different_flows_differ(report: Loaded) -> None:
    frames = [bytes(E / V4 / UDP(sport=port, dport=53)) for port in range(1024, 1424)]
    assert len({ask(report, frame).hash for frame in frames}) == len(frames)
