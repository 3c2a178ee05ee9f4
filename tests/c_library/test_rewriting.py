"""What a change leaves behind is what scapy builds from scratch: every checksum recomputed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.c_library.harness import FORWARD, Loaded

pytestmark = pytest.mark.kernel

NEW4, NEW6, NEW_PORT = "198.51.100.7", "2001:db8:0:0:ffff::7", 4242
UNSUPPORTED, TTL_EXPIRED = 8, 2
Change = Callable[[Packet], None]

E = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2", ttl=9), IPv6(src="fd00::1", dst="fd00::2", hlim=9)
DATA = Raw(b"inkev carries odd bytes")
PACKETS: dict[str, Packet] = {
    "tcp": E / V4 / TCP(sport=1, dport=2, flags="PA") / DATA,
    "udp": E / V4 / UDP(sport=1, dport=2) / DATA,
    "udp without checksum": E / V4 / UDP(sport=1, dport=2, chksum=0) / DATA,
    "icmp": E / V4 / ICMP(id=1) / DATA,
    "tagged tcp": E / Dot1Q(vlan=5) / V4 / TCP(sport=1, dport=2) / DATA,
    "options": E / IP(src="10.0.0.1", dst="10.0.0.2", ttl=9, options=[b"\x94\x04\0\0"]) / UDP(sport=1, dport=2) / DATA,
    "tcp6": E / V6 / TCP(sport=1, dport=2) / DATA,
    "udp6": E / V6 / UDP(sport=1, dport=2) / DATA,
    "icmpv6": E / V6 / ICMPv6EchoRequest(id=1, data=b"data"),
    "udp6 behind options": E / V6 / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2) / DATA,
    "arp": E / ARP(),
}


def put(layer: type[Packet] | tuple[type[Packet], ...], field: str, value: object) -> Change:
    """Return a change of one field of the first such layer."""
    layers = layer if isinstance(layer, tuple) else (layer,)

    def change(packet: Packet) -> None:
        for one in layers:
            if one in packet:
                setattr(packet[one], field, value)
                return
        raise KeyError(field)

    return change


def lower(layer: type[Packet], field: str) -> Change:
    """Return a change that takes one from a field."""
    return lambda packet: setattr(packet[layer], field, getattr(packet[layer], field) - 1)


CHANGES: dict[str, tuple[Change, ...]] = {
    "ttl": (lower(IP, "ttl"),),
    "hop_limit": (lower(IPv6, "hlim"),),
    "src4": (put(IP, "src", NEW4),),
    "dst4": (put(IP, "dst", NEW4),),
    "src6": (put(IPv6, "src", NEW6),),
    "dst6": (put(IPv6, "dst", NEW6),),
    "sport": (put((TCP, UDP), "sport", NEW_PORT),),
    "dport": (put((TCP, UDP), "dport", NEW_PORT),),
    "macs": (put(Ether, "dst", "02:00:00:00:00:0d"), put(Ether, "src", "02:00:00:00:00:0e")),
}


def expected(packet: Packet, changes: tuple[Change, ...]) -> bytes | None:
    """Return the changed packet with its checksums made anew; None where it has no such field."""
    fresh = packet.copy()
    try:
        for change in changes:
            change(fresh)
    except (KeyError, IndexError):
        return None
    for layer in (IP, TCP, UDP, ICMP):
        if layer in fresh and not (layer is UDP and fresh[UDP].chksum == 0):
            fresh[layer].chksum = None
    if ICMPv6EchoRequest in fresh:
        fresh[ICMPv6EchoRequest].cksum = None
    return bytes(fresh)


@pytest.fixture(scope="module", params=["xdp", "tc"])
def rewrite(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    with Loaded("rewrite", request.param) as loaded:
        yield loaded


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", PACKETS)
def test_a_change_leaves_what_would_have_been_built_so(rewrite: Loaded, name: str, change: str) -> None:
    before = bytes(PACKETS[name])
    after, run = expected(PACKETS[name], CHANGES[change]), rewrite.run(change, before)
    assert (run.verdict, run.packet) == ((FORWARD, after) if after else (UNSUPPORTED, before))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(src=st.ip_addresses(v=4), dst=st.ip_addresses(v=4), sport=st.integers(0, 65535), data=st.binary(max_size=60),
       tcp=st.booleans())
def test_translation_keeps_any_checksum_right(rewrite: Loaded, src: object, dst: object, sport: int, data: bytes,
                                              tcp: bool) -> None:
    layer = TCP(sport=sport, dport=9) if tcp else UDP(sport=sport, dport=9)
    packet = E / IP(src=str(src), dst=str(dst), ttl=7) / layer / Raw(data)
    after = expected(packet, (*CHANGES["src4"], *CHANGES["sport"], *CHANGES["ttl"]))
    run = rewrite.run("nat", bytes(packet))
    assert (run.verdict, run.packet) == (FORWARD, after)


@pytest.mark.parametrize(("change", "packet"), [
    ("ttl", E / IP(ttl=1) / UDP()), ("hop_limit", E / IPv6(hlim=1) / UDP()),
])
def test_a_packet_at_its_last_hop_is_refused_unchanged(rewrite: Loaded, change: str, packet: Packet) -> None:
    run = rewrite.run(change, bytes(packet))
    assert (run.verdict, run.packet) == (TTL_EXPIRED, bytes(packet))


def test_a_pushed_tag_pops_off_again(rewrite: Loaded) -> None:
    frame = bytes(PACKETS["tcp"])
    assert rewrite.run("push_pop", frame).packet == frame


@pytest.mark.parametrize("name", ["udp", "tagged tcp"])
def test_on_xdp_a_pushed_tag_goes_before_the_others(name: str) -> None:
    frame = bytes(PACKETS[name])
    with Loaded("rewrite", "xdp") as loaded:
        assert loaded.run("push", frame).packet == frame[:12] + bytes.fromhex("8100004d") + frame[12:]


def test_a_tag_in_the_frame_pops_off_and_without_one_nothing_does(rewrite: Loaded) -> None:
    tagged, plain = bytes(PACKETS["tagged tcp"]), bytes(PACKETS["tcp"])
    assert rewrite.run("pop", tagged).packet == tagged[:12] + tagged[16:]
    assert rewrite.run("pop", plain).packet == plain


def test_the_head_grows_by_zero_bytes_and_shrinks(rewrite: Loaded) -> None:
    frame = bytes(E / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(bytes(range(64))))
    assert rewrite.run("grow", frame).packet == bytes(14) + frame
    assert rewrite.run("shrink", frame).packet == frame[20:]


def test_bytes_are_copied_out_and_in(rewrite: Loaded) -> None:
    frame = bytes(PACKETS["udp"])
    assert rewrite.run("copy", frame).packet == frame[6:10] + frame[4:]
