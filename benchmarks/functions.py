"""First-party functions alone and linked: what parsing once and sharing saves."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import edge
from benchmarks.drive import XDP_REDIRECT, Cost, Driver, driver
from benchmarks.frames import MANY, mac, udp_frames
from benchmarks.hosts import Line, line
from benchmarks.measure import Benchmark, Measure, at_most, below
from benchmarks.site import site
from inkev.bpf.program import ProgramType


def _cost(drive: Driver, hosts: Line, instances: Sequence[str]) -> Cost:
    sent = udp_frames(MANY, source_mac=mac(hosts.source.mac), target_mac=mac(hosts.wan.mac))
    with (site().stitched(edge.GRAPH, edge.graph(hosts, instances), hosts.edge),
          site().segment(edge.GRAPH, "wan") as segment):
        return drive.cost(segment, sent, XDP_REDIRECT)


def linked() -> list[Measure]:
    """Measure firewall, switch and router linked, beside the sum of the three alone."""
    with driver(ProgramType.XDP) as drive, line(checksum_offload=False) as hosts:
        together = _cost(drive, hosts, ("fw", "sw", "rt"))
        alone = [_cost(drive, hosts, (name,)) for name in ("fw", "sw", "rt")]
    measure, yardstick = "firewall + switch + router, linked", "the three alone, summed"
    return [at_most(f"{measure}, hot", together.hot_ns, "ns", 0.75, yardstick, sum(each.hot_ns for each in alone)),
            at_most(f"{measure}, {MANY:,} packets", together.varied_ns, "ns", 0.75, yardstick,
                    sum(each.varied_ns for each in alone))]


def known_destination() -> list[Measure]:
    """Measure the switch alone, between two stations that it knows."""
    with driver(ProgramType.XDP) as drive, line(checksum_offload=False) as hosts:
        cost = _cost(drive, hosts, ("sw",))
    return [below("switch, known destination, hot", cost.hot_ns, "ns", 35),
            below(f"switch, known destination, {MANY:,} packets", cost.varied_ns, "ns", 35)]


BENCHMARKS = (Benchmark("linked", linked), Benchmark("switch", known_destination))
