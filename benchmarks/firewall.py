"""The firewall: ten thousand rules in the styles of ClassBench, a change of one of them, and established flows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks import edge
from benchmarks.classbench import STYLES, TCP, UDP, Flow, Row, flows, rules
from benchmarks.drive import XDP_REDIRECT, Driver, driver
from benchmarks.frames import ACK, MANY, SYN, frame, iter_flows, mac
from benchmarks.hosts import Line, line
from benchmarks.measure import Benchmark, Measure, below, informative
from benchmarks.site import FIRST_PARTY, site
from inkev.bpf.maps import Map
from inkev.bpf.membarrier import wait_for_programs
from inkev.bpf.program import Program, ProgramType
from inkev.datapath.classifier.table import ClassifierTable
from inkev.datapath.pins import GraphPins, names_in
from inkev.package.reading import read_package

RULES = 10_000
FLOWS = 100_000
CHANGES = 200
MAPS = ("rules", "rules_tree", "rules_hits")


def _graph(*, stateful: bool) -> str:
    return (f'[graph]\nname = "{edge.GRAPH}"\n[hooks]\nwan = {{ interface = "wan", type = "xdp" }}\n'
            'lan = { interface = "lan", type = "xdp" }\n[nf.fw]\npackage = "firewall"\n'
            f'config = {{ stateful = {str(stateful).lower()} }}\n[edges]\n'
            'chains = ["wan <-> outside:fw:inside <-> lan"]\n')


def _pinned(name: str) -> Path:
    """Return where a map of the firewall is: in the newest generation, or kept from one before."""
    pins = GraphPins(site().root.bpffs / edge.GRAPH)
    newest = max(int(each.removeprefix("gen")) for each in names_in(pins.folder) if each.startswith("gen"))
    found = pins.find_map((newest,), "fw", name)
    if found is None:
        raise FileNotFoundError(name)
    return found


@contextmanager
def _running(hosts: Line, *, stateful: bool) -> Iterator[tuple[Program, ClassifierTable]]:
    """Stitch a firewall between wan and lan; yield the program and its table of rules, opened in this process."""
    declared = read_package(FIRST_PARTY / "firewall")[0].tables["rules"]
    text = _graph(stateful=stateful)
    with site().stitched(edge.GRAPH, text, hosts.edge), site().segment(edge.GRAPH, "wan") as segment:
        held = [Map.open(_pinned(name)) for name in MAPS]
        try:
            yield segment, ClassifierTable(declared, *held, grace=wait_for_programs, find_interface=lambda _name: 0)
        finally:
            for each in held:
                each.close()


def _accepting(rows: Sequence[Row]) -> list[Row]:
    """Let every rule have the same verdict, so that every packet must get it."""
    return [{**row, "verdict": "accept"} for row in rows]


def _frames(hosts: Line, found: Sequence[Flow]) -> list[bytes]:
    """Return frames of MANY of the flows: those with ports."""
    chosen = [flow for flow in found if flow.protocol in {TCP, UDP}][:MANY]
    return [frame(source_mac=mac(hosts.source.mac), target_mac=mac(hosts.wan.mac), source=IPv4Address(flow.src),
                  target=IPv4Address(flow.dst), source_port=flow.sport, target_port=flow.dport,
                  protocol=flow.protocol) for flow in chosen]


def measure_rules(drive: Driver, hosts: Line, style: str) -> list[Measure]:
    """Return what a packet costs that is put to RULES rules, beside the same firewall with one rule."""
    rows = _accepting(rules(style, RULES))
    sent = _frames(hosts, flows(rows, FLOWS))
    with _running(hosts, stateful=False) as (segment, table):
        start = time.perf_counter()
        table.load(rows)
        load_s = time.perf_counter() - start
        cost = drive.cost(segment, sent, XDP_REDIRECT)
        table.load([{"verdict": "accept"}])
        single = drive.cost(segment, sent, XDP_REDIRECT)
        table.close()
    return [below(f"firewall, {style}, {RULES:,} rules, no flow cache", cost.varied_ns, "ns", 150,
                  yardstick="the same with one rule", yardstick_value=single.varied_ns),
            informative(f"firewall, {style}, {RULES:,} rules, hot", cost.hot_ns, "ns", "the same with one rule",
                        single.hot_ns),
            informative(f"firewall, {style}: loading {RULES:,} rules", load_s, "s")]


def measure_rule_change(hosts: Line, style: str) -> list[Measure]:
    """Return how long one rule takes from the call until packets see it, added to RULES others and removed again."""
    rows = rules(style, RULES + CHANGES)
    # Rules open on both sides stand last; take the changes from all over.
    moved = rows[:: len(rows) // CHANGES][:CHANGES]
    times: list[float] = []
    with _running(hosts, stateful=False) as (_, table):
        table.load([row for row in rows if row not in moved])
        for row in moved:
            times += [_timed_ms(table.add, row), _timed_ms(table.remove, row)]
        table.close()
    return [below(f"firewall, {style}: a change of one of {RULES:,} rules, median", statistics.median(times), "ms", 20),
            below(f"firewall, {style}: the slowest of {len(times)} changes", max(times), "ms", 20)]


def _timed_ms(change: object, row: Row) -> float:
    assert callable(change)
    start = time.perf_counter()
    change(row)
    return (time.perf_counter() - start) * 1e3


def measure_established(drive: Driver, hosts: Line) -> list[Measure]:
    """Return what a packet of an established TCP connection costs."""
    found = list(iter_flows(MANY, sources=IPv4Address("10.1.0.0"), targets=IPv4Address("10.2.0.0")))
    both = mac(hosts.source.mac), mac(hosts.wan.mac)
    opening, sent = ([frame(source_mac=both[0], target_mac=both[1], source=source, target=target, source_port=sport,
                            target_port=dport, protocol=TCP, flags=flags)
                      for source, target, sport, dport in found] for flags in (SYN, ACK))
    with _running(hosts, stateful=True) as (segment, table):
        table.load([{"verdict": "accept"}])
        for each in sent:  # taken over as established: the firewall picks up older connections
            segment.test_run(each)
        cost = drive.cost(segment, sent, XDP_REDIRECT)
        table.close()
    with _running(hosts, stateful=False) as (segment, table):
        table.load([{"verdict": "accept"}])
        stateless = drive.cost(segment, opening, XDP_REDIRECT)
        table.close()
    return [below("firewall, established flow, hot", cost.hot_ns, "ns", 60, yardstick="one rule, stateless",
                  yardstick_value=stateless.hot_ns),
            below(f"firewall, established flow, {MANY:,} flows", cost.varied_ns, "ns", 60,
                  yardstick="one rule, stateless", yardstick_value=stateless.varied_ns)]


def many_rules() -> list[Measure]:
    """Measure every style."""
    with driver(ProgramType.XDP) as drive, line(checksum_offload=False) as hosts:
        return [row for style in STYLES for row in measure_rules(drive, hosts, style)]


def rule_change() -> list[Measure]:
    """Measure changes in every style."""
    with line(checksum_offload=False) as hosts:
        return [row for style in STYLES for row in measure_rule_change(hosts, style)]


def established() -> list[Measure]:
    """Measure the fast path."""
    with driver(ProgramType.XDP) as drive, line(checksum_offload=False) as hosts:
        return measure_established(drive, hosts)


BENCHMARKS = (Benchmark("firewall-rules", many_rules), Benchmark("firewall-change", rule_change),
              Benchmark("firewall-established", established))
