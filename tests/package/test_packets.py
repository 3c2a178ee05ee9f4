"""Packet expressions: what they mean, and that nothing in them is ever run."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkev.base.errors import UserError
from inkev.package.packets import describe_difference, parse_packet

SYN = "Ether()/IP(ttl={ttl})/TCP(dport=80, flags='S')"


def test_layers_joined_by_slashes_are_one_packet():
    packet = parse_packet("Ether(dst='02:00:00:00:00:09')/IP(dst='10.0.0.2')/UDP(sport=1, dport=53)/b'abc'")
    assert packet[:6].hex() == "020000000009"
    assert packet[30:34] == bytes([10, 0, 0, 2])
    assert packet.endswith(b"abc")
    assert len(packet) == 14 + 20 + 8 + 3


def test_addresses_left_out_are_the_same_on_every_machine():
    packet = parse_packet("Ether()/IP()/UDP()")
    assert packet[:12].hex() == "020000000002020000000001"
    assert packet[26:34] == bytes([192, 0, 2, 1, 192, 0, 2, 2])


def test_checksums_and_lengths_are_filled_in():
    packet = parse_packet("Ether()/IP()/UDP()/Raw(b'x' * 100)")
    assert int.from_bytes(packet[16:18]) == 128
    words = [int.from_bytes(packet[at : at + 2]) for at in range(14, 34, 2)]
    assert sum(words) % 0xFFFF == 0


@given(st.binary(max_size=200))
def test_hex_text_is_read_back_to_the_same_bytes(raw):
    assert parse_packet("hex:" + raw.hex(" ")) == raw


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("__import__('os').system('true')", "not a known layer"),
        ("Ether().__class__", "is not a literal"),
        ("[Ether() for _ in range(9)]", "not a literal"),
        ("Ether(**{})", "** is not allowed"),
        ("Ether()/IP(src=RandIP())", "RandIP is not a known layer"),
        ("Ether()/IP(dst='10.0.0.0/24')", "not one address"),
        ("Ether()/IP(dst='example.org')", "not one address"),
        ("Ether()/IP(colour=1)", "IP has no field colour"),
        ("Ether()/IP(ttl=700)", "does not take its value"),
        ("Ether('a')", "takes its fields by name"),
        ("Ether()/('x' * 99999999999)", "up to a packet's size"),
        ("Ether(", "not an expression"),
        ("(" * 5000, "not an expression"),
        ("hex:0", "not pairs of hex digits"),
    ],
)
def test_anything_but_layers_literals_and_slashes_is_refused(text, why):
    with pytest.raises(UserError) as caught:
        parse_packet(text)
    assert caught.value.code == "bad-packet"
    assert why in caught.value.faults[0].why


@given(st.text(max_size=60))
def test_no_text_does_more_than_fail(text):
    with contextlib.suppress(UserError):
        parse_packet(text)


def test_a_difference_names_the_field_and_both_values():
    lines = describe_difference(parse_packet(SYN.format(ttl=63)), parse_packet(SYN.format(ttl=64)))
    assert "IP.ttl: expected 63, got 64" in lines


def test_a_difference_of_layers_says_what_is_there_instead():
    lines = describe_difference(parse_packet("Ether()/ARP()"), parse_packet("Ether()/IP()"))
    assert any(line.startswith("layer: expected ARP") for line in lines)


def test_equal_packets_have_no_difference():
    assert describe_difference(parse_packet(SYN.format(ttl=1)), parse_packet(SYN.format(ttl=1))) == []
