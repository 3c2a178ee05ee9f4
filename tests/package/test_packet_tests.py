"""Packet test files: everything that is wrong is told at once, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkev.base.errors import Faults
from inkev.package.manifest import ConfigOption, Manifest, Metric, Package, Port, Program
from inkev.package.packet_tests import expected_bytes, find_reason, read_packet_tests
from inkev.package.packets import parse_packet

MANIFEST = Manifest(
    schema=1,
    package=Package(name="guard", version="1.0", summary="drops old packets", license="MIT"),
    programs={"guard": Program(file="src/guard.bpf.c", entry="guard")},
    ports={"in": Port(direction="in"), "out": Port(direction="out")},
    config={"min-ttl": ConfigOption(type="u8", default=1)},
    metrics={"seen": Metric(help="packets seen")},
    reasons={"expired": "too old"},
)


def write(folder: Path, text: str) -> Path:
    (folder / "tests").mkdir()
    (folder / "tests/basic.toml").write_text(text)
    return folder


def test_a_good_file_is_read_into_values(tmp_path):
    text = """
[[test]]
name = "an expired packet is dropped"
hooks = ["xdp"]
config = { min-ttl = 5 }
steps = [
  { packet = "Ether()/IP(ttl=1)", verdict = "drop", reason = "expired", metrics = { seen = 1 } },
  { in-port = "in", packet = "Ether()/IP(ttl=64)", verdict = "forward", port = "out", expect = "Ether()/IP(ttl=63)" },
  { packet = "Ether()/IP(ttl=64)", verdict = "forward" },
]
"""
    (test,) = read_packet_tests(write(tmp_path, text), MANIFEST)
    assert (test.name, test.hooks, test.config) == ("an expired packet is dropped", ("xdp",), {"min-ttl": 5})
    dropped, changed, unchanged = test.steps
    assert expected_bytes(dropped) is None
    assert expected_bytes(changed) == parse_packet("Ether()/IP(ttl=63)")
    assert expected_bytes(unchanged) == parse_packet("Ether()/IP(ttl=64)")


def test_every_fault_is_told_at_once_with_its_place(tmp_path):
    text = """
[[test]]
name = "wrong everywhere"
config = { max-ttl = 5 }
tables.rules = []
steps = [
  { in-port = "side", packet = "Ether()/IP(ttl=700)", verdict = "drip", reason = "tired", metrics = { felt = 1 } },
]

[[test]]
steps = []
"""
    with pytest.raises(Faults) as caught:
        read_packet_tests(write(tmp_path, text), MANIFEST)
    told = str(caught.value)
    for part in ("max-ttl", "rules", "side", "drip", "tired", "felt", "bad-packet]", "tests/basic.toml, test[1]"):
        assert part in told
    assert all(fault.where for fault in caught.value.faults)


def test_a_file_that_is_not_toml_is_a_fault_of_that_file(tmp_path):
    with pytest.raises(Faults) as caught:
        read_packet_tests(write(tmp_path, "[[test"), MANIFEST)
    assert caught.value.faults[0].where == "tests/basic.toml"


def test_private_reasons_are_numbered_after_the_common_ones():
    assert find_reason("expired", MANIFEST) == 16
    assert find_reason("malformed", MANIFEST) == 1
    assert find_reason("tired", MANIFEST) is None
