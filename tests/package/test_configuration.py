import pytest

from inkev.base.errors import Faults
from inkev.package.configuration import encode_config, missing_fields
from inkev.package.layout import Field, Layout
from inkev.package.manifest import ConfigOption, Manifest, Package

MANIFEST = Manifest(
    schema=1,
    package=Package(name="guard", version="1.0", summary="s", license="MIT"),
    config={
        "min-ttl": ConfigOption(type="u8", default=2, minimum=1, maximum=64),
        "mode": ConfigOption(type="enum", values=("accept", "drop"), default="drop"),
        "timeout": ConfigOption(type="duration", default="1us"),
        "gateway": ConfigOption(type="ipv4", default="10.0.0.1"),
    },
)
LAYOUT = Layout(
    program="main", hook="xdp", entry="guard", license="MIT", config_size=24,
    config=(
        Field(name="timeout", offset=0, size=8, kind="int"),
        Field(name="gateway", offset=8, size=4, kind="int"),
        Field(name="min_ttl", offset=12, size=1, kind="int"),
        Field(name="mode", offset=16, size=4, kind="enum"),
    ),
)  # fmt: skip


def test_options_left_out_have_the_default_of_the_manifest():
    assert encode_config(MANIFEST, LAYOUT, {}).hex() == "e8030000000000000a000001020000000100000000000000"


def test_given_options_land_in_their_c_fields():
    struct = encode_config(MANIFEST, LAYOUT, {"min-ttl": 64, "mode": "accept", "gateway": "192.0.2.1"})
    assert struct[8:20].hex() == "c00002014000000000000000"


def test_every_wrong_option_is_reported_at_once():
    with pytest.raises(Faults) as caught:
        encode_config(MANIFEST, LAYOUT, {"min-tll": 3, "min-ttl": 65, "mode": "deny", "timeout": 4})
    assert [(fault.code, fault.where) for fault in caught.value.faults] == [
        ("unknown-option", "config.min-tll"), ("value-out-of-range", "config.min-ttl"),
        ("bad-value", "config.mode"), ("bad-value", "config.timeout"),
    ]  # fmt: skip
    assert caught.value.faults[0].hint == "did you mean min-ttl?"


def test_a_value_too_large_for_its_field_names_the_option():
    narrow = Layout(program="main", hook="xdp", entry="g", license="MIT", config_size=1,
                    config=(Field(name="timeout", offset=0, size=1, kind="int"),))  # fmt: skip
    with pytest.raises(Faults) as caught:
        encode_config(MANIFEST, narrow, {})
    assert caught.value.faults[0].where == "config.timeout"


def test_a_program_without_a_struct_gets_no_bytes():
    assert encode_config(MANIFEST, Layout(program="m", hook="tc", entry="e", license="MIT"), {}) == b""


def test_options_and_fields_without_each_other_are_found():
    mode, depth = (Field(name=name, offset=0, size=4, kind="int") for name in ("mode", "depth"))
    lone = Layout(program="main", hook="xdp", entry="g", license="MIT", config_size=4, config=(mode, depth))
    assert missing_fields(MANIFEST, {"main": lone}) == {"": ("min-ttl", "timeout", "gateway"), "main": ("depth",)}
