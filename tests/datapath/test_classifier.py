"""Ordered rules: what the trees in the kernel find is what a linear look finds, whatever was edited in between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from struct import Struct
from subprocess import run

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.classbench import Flow, Row, flows, rules
from inkev.base.errors import UserError
from inkev.bpf.libbpf import Object
from inkev.bpf.maps import Map
from inkev.bpf.program import AttachType, Program, ProgramType
from inkev.datapath.classifier.arena import Arena
from inkev.datapath.classifier.table import ClassifierTable
from inkev.package.reading import read_package

pytestmark = pytest.mark.kernel
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_FLOW = Struct("=8IHHBBBBI4x")
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "gre": 47, "esp": 50}
VERDICTS = ("drop", "accept")
Edits = list[tuple[bool, int, float]]
NAMES = ("src", "dst", "sport", "dport", "protocol", "verdict")


class Classifier:
    """<inkev/classify.h> in the kernel, asked about many flows at once."""

    def __init__(self, elf: bytes) -> None:
        with Object.open(elf) as opened:
            opened.load(ProgramType.XDP, AttachType.XDP)
            self.program: Program = opened.take_program("classify")
            self.maps: dict[str, Map] = {each.name: each.take() for each in opened.iter_maps()}
        declared = read_package(ROOT / "nfpkgs" / "firewall")[0].tables["rules"]
        names = {"rules", "rules_tree"}
        held = {name: self.maps[name] for name in names}
        self.table = ClassifierTable(declared, held["rules"], held["rules_tree"], self.maps["rules_hits"],
                                     grace=lambda: None, find_interface={"lo": 1}.__getitem__)

    def ask(self, asked: list[Flow]) -> list[int]:
        """Return what the kernel finds for each flow; -1 where no rule matches."""
        self.maps["flows"].memory()[: _FLOW.size * len(asked)] = b"".join(_pack(flow) for flow in asked)
        self.maps["cursor"].update(bytes(4), bytes(4))
        self.program.test_run(bytes(64), repeat=len(asked))
        found = memoryview(self.maps["found"].memory()).cast("q")
        return [int(each) for each in found[: len(asked)]]

    def close(self) -> None:
        self.table.close()
        self.program.close()
        for held in self.maps.values():
            held.close()


def _pack(flow: Flow) -> bytes:
    def words(address: int) -> tuple[int, ...]:
        if flow.version == 4:
            return address, 0, 0, 0
        return tuple(address >> shift & 0xFFFFFFFF for shift in (96, 64, 32, 0))

    return _FLOW.pack(*words(flow.src), *words(flow.dst), flow.sport, flow.dport, flow.protocol, 0x12, 1,
                      flow.version, 0)


def _inside(prefix: str | None, address: int, version: int) -> bool:
    if prefix is None:
        return True
    network = ip_network(prefix)
    first = int(network.network_address)
    return network.version == version and first <= address < first + network.num_addresses


def _in_range(ports: str | None, port: int) -> bool:
    low, _, high = str(ports or "0-65535").partition("-")
    return int(low) <= port <= int(high or low)


def linear(rows: list[Row], flow: Flow) -> int:
    """Return the verdict of the first rule that matches."""
    for row in rows:
        if (_inside(row.get("src"), flow.src, flow.version) and _inside(row.get("dst"), flow.dst, flow.version)
                and _in_range(row.get("sport"), flow.sport) and _in_range(row.get("dport"), flow.dport)
                and PROTOCOLS.get(row.get("protocol", ""), flow.protocol) == flow.protocol):
            return VERDICTS.index(row["verdict"])
    return -1


@pytest.fixture(scope="module")
def elf() -> bytes:
    command = ["clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-DIKV_HOOK_XDP",
               f"-I{ROOT / 'bpf_common' / 'include'}", "-I/usr/include/x86_64-linux-gnu", "-c",
               str(HERE / "classify.bpf.c"), "-o", "-"]
    return run(command, check=True, capture_output=True).stdout


@pytest.fixture
def classifier(elf: bytes) -> Iterator[Classifier]:
    made = Classifier(elf)
    yield made
    made.close()


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("style", ["acl", "fw", "ipc"])
def test_the_kernel_finds_what_a_linear_look_finds(classifier: Classifier, style: str, version: int) -> None:
    rows = rules(style, 400, version=version)
    asked = flows(rows, 400, version=version)
    classifier.table.load(rows)
    assert classifier.ask(asked) == [linear(rows, flow) for flow in asked]


@pytest.mark.parametrize(("style", "version"), [("acl", 4), ("fw", 4), ("ipc", 6)])
def test_rules_added_and_removed_anywhere_are_as_if_loaded_so(classifier: Classifier, style: str, version: int) -> None:
    rows = rules(style, 420, seed=3, version=version)
    chance = random.Random(7)
    chance.shuffle(rows)
    live, spare = rows[:250], rows[250:]
    classifier.table.load(live)
    for _ in range(150):
        if spare and chance.random() < 0.6:
            place = chance.randrange(len(live) + 1)
            live.insert(place, spare.pop())
            classifier.table.add({**live[place], "position": place + 1})
        else:
            gone = live.pop(chance.randrange(len(live)))
            classifier.table.remove({name: value for name, value in gone.items() if name != "verdict"})
    asked = flows(rows, 400, seed=2, version=version)
    assert classifier.ask(asked) == [linear(live, flow) for flow in asked]
    assert [{name: row[name] for name in NAMES if row[name] != "any"} for row in classifier.table.rows()] == live


EDITS = st.lists(st.tuples(st.booleans(), st.integers(0, 199), st.floats(0, 0.999)), min_size=1, max_size=40)
"""Add or remove, a rule of the pool, and where: a share of the table."""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_any_row_of_edits_leaves_what_a_linear_look_finds(classifier: Classifier, edits: Edits) -> None:
    pool = rules("fw", 200, seed=5)
    live = pool[:20]
    classifier.table.load(live)
    for adds, number, share in edits:
        row = pool[number]
        if adds and row not in live:
            place = int(share * (len(live) + 1))
            live.insert(place, row)
            classifier.table.add({**row, "position": place + 1})
        elif not adds and live:
            gone = live.pop(int(share * len(live)))
            classifier.table.remove({name: value for name, value in gone.items() if name != "verdict"})
    asked = flows(pool, 150, seed=len(edits))
    assert classifier.ask(asked) == [linear(live, flow) for flow in asked]


def test_another_process_sees_the_same_free_space(classifier: Classifier) -> None:
    rows = rules("fw", 300)
    classifier.table.load(rows[:250])
    for row in rows[250:]:
        classifier.table.add(row)
    known = classifier.table._arena
    surveyed = Arena(known.words, lambda: None)
    assert surveyed._used == known._used


def test_packets_are_counted_for_the_rule_that_decided(classifier: Classifier) -> None:
    classifier.table.load([{"src": "10.0.0.0/8", "verdict": "drop"}, {"verdict": "accept"}])
    inside, outside = Flow(10 << 24, 1, 1, 1, 6), Flow(11 << 24, 1, 1, 1, 6)
    classifier.ask([inside, outside, outside])
    assert [row["packets"] for row in classifier.table.rows()] == [1, 2]
    classifier.table.load([{"verdict": "accept"}, {"src": "10.0.0.0/9", "verdict": "drop"}])
    assert [row["packets"] for row in classifier.table.rows()] == [2, 0]


def test_a_rule_with_the_same_match_is_changed_in_its_place(classifier: Classifier) -> None:
    classifier.table.load([{"protocol": "tcp", "verdict": "drop"}, {"verdict": "accept"}])
    classifier.table.add({"protocol": "tcp", "verdict": "accept"})
    assert classifier.ask([Flow(1, 1, 1, 1, 6)]) == [1]
    classifier.table.add({"protocol": "tcp", "verdict": "drop", "position": 2})
    assert [row["protocol"] for row in classifier.table.rows()] == ["any", "tcp"]
    assert classifier.ask([Flow(1, 1, 1, 1, 6)]) == [1]


def test_a_refused_load_leaves_the_rules_as_they_were(classifier: Classifier) -> None:
    classifier.table.load([{"verdict": "accept"}])
    with pytest.raises(UserError) as refused:
        classifier.table.load([{"src": "10.0.0.0/8", "dst": "2001:db8::/32", "verdict": "drop"},
                               {"protocol": "tcp", "verdict": "maybe"}, {"verdict": "drop"}, {"verdict": "drop"}])
    assert {fault.code for fault in refused.value.faults} == {"mixed-families", "bad-value", "duplicate-row"}
    assert classifier.ask([Flow(1, 1, 1, 1, 6)]) == [1]


def test_rules_that_nothing_tells_apart_are_refused(classifier: Classifier) -> None:
    rows = [{"protocol": "tcp", "tcp-flags": ",".join(name for bit, name in enumerate(
        ("fin", "syn", "rst", "psh", "ack", "urg", "ece")) if number >> bit & 1), "verdict": "drop"}
        for number in range(1, 100)]
    with pytest.raises(UserError, match="do not fit"):
        classifier.table.load(rows)
    assert classifier.table.rows() == []


def test_a_missing_rule_is_named_as_missing(classifier: Classifier) -> None:
    with pytest.raises(UserError) as refused:
        classifier.table.remove({"src": "10.0.0.0/8"})
    assert refused.value.code == "no-such-row"
