from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkev.base.errors import UserError
from inkev.package.addresses import EVERYTHING
from inkev.package.columns import COLUMN_TYPES, decode, encode, format_value, parse_value
from inkev.package.quantities import Rate
from inkev.package.transport import TCP_FLAGS, PortRange, TcpFlags

NAMES = ("accept", "drop", "reject")

u32 = st.integers(0, (1 << 32) - 1)
u64 = st.integers(0, (1 << 64) - 1)
v4 = u32.map(IPv4Address)
v6 = st.integers(0, (1 << 128) - 1).map(IPv6Address)
plain_v6 = v6.filter(lambda address: address.ipv4_mapped is None)
net4 = st.tuples(v4, st.integers(0, 32)).map(lambda pair: IPv4Network(pair, strict=False))
net6 = st.tuples(v6, st.integers(0, 128)).map(lambda pair: IPv6Network(pair, strict=False))
mapped = IPv6Network("::ffff:0:0/96")
masks = st.sets(st.sampled_from(sorted(TCP_FLAGS.values()))).map(sum)

VALUES = {
    "u8": (st.integers(0, 255), 1),
    "u16": (st.integers(0, 65535), 2),
    "u32": (u32, 4),
    "u64": (u64, 8),
    "i32": (st.integers(-(1 << 31), (1 << 31) - 1), 4),
    "i64": (st.integers(-(1 << 63), (1 << 63) - 1), 8),
    "bool": (st.booleans(), 1),
    "bytes": (st.binary(min_size=9, max_size=9), 9),
    "ipv4": (v4, 4),
    "ipv6": (v6, 16),
    "ip": (v4 | plain_v6, 16),
    "prefix4": (net4, 8),
    "prefix6": (net6, 20),
    "prefix": (net4 | net6.filter(lambda net: not net.subnet_of(mapped)), 20),
    "mac": (st.binary(min_size=6, max_size=6), 6),
    "l4port": (st.integers(0, 65535), 2),
    "l4ports": (st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda p: PortRange(*sorted(p))), 4),
    "protocol": (st.integers(0, 255), 1),
    "tcp-flags": (st.tuples(masks, masks).map(lambda pair: TcpFlags(pair[0] & pair[1], pair[1])), 2),
    "duration": (u64, 8),
    "size": (u64, 8),
    "rate": (st.tuples(st.integers(0, (1 << 63) - 1), st.booleans()).map(lambda pair: Rate(*pair)), 8),
    "enum": (st.integers(0, 2), 1),
    "interface": (st.integers(0, (1 << 31) - 1).filter(lambda index: index < 10**9), 4),
    "text": (st.text(st.characters(categories=["L", "N", "P"]), max_size=6), 32),
}


def test_every_type_has_its_laws_tested():
    assert set(VALUES) == set(COLUMN_TYPES)


@pytest.mark.parametrize("column_type", sorted(VALUES))
def test_parse_undoes_format_and_decode_undoes_encode(column_type):
    strategy, size = VALUES[column_type]

    @settings(max_examples=60, deadline=None)
    @given(strategy)
    def law(value):
        shown = format_value(column_type, value, NAMES)
        assert parse_value(column_type, shown, values=NAMES) == value
        raw = encode(column_type, value, size)
        assert len(raw) == size
        assert decode(column_type, raw, NAMES) == value

    law()


@pytest.mark.parametrize(("column_type", "raw", "size", "expected"), [
    ("ipv4", "10.0.0.1", 4, "0a000001"),
    ("ip", "10.0.0.1", 16, "00000000000000000000ffff0a000001"),
    ("prefix4", "10.0.0.0/8", 8, "080000000a000000"),
    ("prefix", "10.0.0.0/8", 20, "6800000000000000000000000000ffff0a000000"),
    ("prefix", "any", 20, "00" * 20),
    ("prefix4", "10.0.0.1", 8, "200000000a000001"),
    ("mac", "02-00-5E-00-00-01", 8, "02005e0000010000"),
    ("l4port", 443, 2, "01bb"),
    ("l4ports", "1024-65535", 4, "0004ffff"),
    ("l4ports", "any", 4, "0000ffff"),
    ("protocol", "tcp", 1, "06"),
    ("protocol", "any", 1, "00"),
    ("tcp-flags", "syn,!ack", 2, "0212"),
    ("duration", "1us", 8, "e803000000000000"),
    ("rate", "8kbit/s", 8, "401f000000000000"),
    ("rate", "1kB/s", 8, "401f000000000000"),
    ("rate", "1pps", 8, "0100000000000080"),
    ("size", "2KiB", 4, "00080000"),
    ("text", "wan", 8, "77616e0000000000"),
    ("u16", "0x10", 2, "1000"),
])
def test_bytes_are_what_the_c_field_expects(column_type, raw, size, expected):
    assert encode(column_type, parse_value(column_type, raw), size).hex() == expected


@pytest.mark.parametrize(("column_type", "raw", "shown"), [
    ("duration", "60s", "1m"), ("duration", "1.5s", "1500ms"), ("duration", 0, "0s"),
    ("rate", "1.25MB/s", "10Mbit/s"), ("rate", "5kpps", "5kpps"), ("size", 1500, "1500B"),
    ("l4ports", 80, "80"), ("prefix", "::/0", "any"), ("prefix", "0.0.0.0/0", "0.0.0.0/0"),
    ("prefix", "::ffff:10.0.0.0/104", "10.0.0.0/8"), ("ip", "::ffff:10.0.0.1", "10.0.0.1"),
    ("mac", "02:00:00:00:00:0A", "02:00:00:00:00:0a"), ("protocol", 6, "tcp"), ("protocol", 200, "200"),
    ("tcp-flags", "!ack , SYN", "syn,!ack"), ("bool", "true", True), ("bytes", "0xDEad", "dead"),
])
def test_the_text_form_is_canonical(column_type, raw, shown):
    assert format_value(column_type, parse_value(column_type, raw)) == shown


@pytest.mark.parametrize(("column_type", "raw"), [
    ("u8", 256), ("u8", -1), ("u8", True), ("u8", "ten"), ("u8", 1.0), ("i32", 1 << 31), ("bool", 1), ("bytes", "abc"),
    ("ipv4", "10.0.0"), ("ipv4", "::1"), ("ipv6", "10.0.0.1"), ("ip", "fe80::1%eth0"), ("ip", 5),
    ("prefix", "10.0.0.1/8"), ("prefix4", "::/0"), ("prefix6", "10.0.0.0/8"), ("prefix", "10.0.0.0/33"), ("prefix", ""),
    ("mac", "02:00:00:00:00"),
    ("l4port", 65536), ("l4ports", "90-80"), ("l4ports", "80-"), ("protocol", "tpc"), ("protocol", 256),
    ("tcp-flags", "syn,syn"), ("tcp-flags", ""), ("duration", 5), ("duration", "5 weeks"),
    ("duration", "0.1ns"), ("duration", "-5s"),
    ("rate", "10"), ("rate", "10mb"), ("size", "1PB"), ("size", -1), ("text", "a\0b"), ("text", 7),
    ("interface", "a/b"), ("interface", ".."), ("interface", "sixteen-letters-"),
])
def test_a_wrong_value_is_refused_with_the_column_named(column_type, raw):
    with pytest.raises(UserError) as caught:
        parse_value(column_type, raw, column="src")
    assert caught.value.code == "bad-value"
    assert caught.value.faults[0].where == "src"


def test_an_enum_out_of_its_names_offers_the_nearest():
    with pytest.raises(UserError, match="did you mean accept"):
        parse_value("enum", "acept", values=NAMES)


def test_an_unknown_type_offers_the_nearest():
    with pytest.raises(UserError, match="did you mean ipv4"):
        parse_value("ip4", "10.0.0.1")


@pytest.mark.parametrize(("column_type", "raw", "low", "high"), [
    ("u8", 4, 5, None), ("u16", 9, None, 8), ("duration", "2s", 0, 10**9), ("rate", "2kbit/s", 0, 1000),
    ("size", "2kB", 0, 1000),
])
def test_bounds_hold_in_the_unit_of_the_type(column_type, raw, low, high):
    with pytest.raises(UserError) as caught:
        parse_value(column_type, raw, minimum=low, maximum=high, column="limit")
    assert caught.value.code == "value-out-of-range"


def test_an_interface_is_looked_up_by_the_caller():
    assert parse_value("interface", "eth0") == "eth0"
    assert parse_value("interface", "eth0", find_interface={"eth0": 7}.__getitem__) == 7
    assert format_value("interface", 7, name_interface={7: "eth0"}.__getitem__) == "eth0"
    assert format_value("interface", 7) == "#7"
    assert format_value("interface", 0, name_interface={}.__getitem__) == "any"
    with pytest.raises(UserError, match="has not been looked up"):
        encode("interface", "eth0", 4)


@pytest.mark.parametrize(("column_type", "value", "size"), [
    ("u64", 256, 1), ("ipv4", IPv4Address("10.0.0.1"), 16), ("prefix", EVERYTHING, 16), ("bytes", b"ab", 3),
    ("text", "four", 4), ("enum", 300, 1), ("rate", Rate(1 << 31, packets=False), 4),
])
def test_a_value_that_its_field_cannot_hold_is_refused(column_type, value, size):
    with pytest.raises(UserError) as caught:
        encode(column_type, value, size, column="c")
    assert caught.value.code == "bad-value"


def test_a_stored_enum_beyond_its_names_is_shown_as_its_number():
    assert format_value("enum", 9, NAMES) == 9
    with pytest.raises(UserError):
        decode("enum", b"\x09", NAMES)
