"""Changes of a running graph under traffic: how soon they carry packets, and what they lose."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.frames import MANY, mac, udp_frames
from benchmarks.hosts import Line, line
from benchmarks.measure import Benchmark, Measure, below, informative
from benchmarks.sender import Sender, Sent
from benchmarks.sink import Sink, swallowing
from benchmarks.site import site
from inkev.agent.graphs import Graphs
from inkev.agent.wiring import Wiring
from inkev.base.limits import BLOCK_BYTES, COMMON_REASONS
from inkev.bpf.maps import Map
from inkev.bpf.program import ProgramType
from inkev.datapath.pins import graph_pins
from inkev.host.kernel import Kernel

GRAPH, POINT, NEWCOMER = "changing", "screening", "newcomer"
INSERTS = 15
CHANGES = 1_000
RATE = 200_000
FIRST = 8 * (1 + COMMON_REASONS + 1)
"""Where in its region the newcomer notes when it first ran: behind packets, drops and its first metric."""
TEXT = f"""
[graph]
name = "{GRAPH}"
[hooks]
wan = {{ interface = "wan", type = "xdp" }}
[devices]
lan = {{ interface = "lan" }}
[nf.first]
package = "probe"
[nf.last]
package = "probe"
[edges]
chains = ["wan -> first -> last -> lan"]
stitch-points = {{ {POINT} = "first -> last" }}
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A stitched graph and the parts of inkev that change it, in this process."""

    hosts: Line
    graphs: Graphs
    kernel: Kernel
    frames: list[bytes]

    def insert(self, **config: object) -> None:
        """Put the newcomer in."""
        self.graphs.insert(GRAPH, "probe", POINT, name=NEWCOMER, config=config)

    def remove(self) -> None:
        """Take the newcomer out."""
        self.graphs.remove(GRAPH, NEWCOMER)


@contextmanager
def running() -> Iterator[Running]:
    """Stitch the graph on the edge for the length of the block, this thread being there."""
    wiring = Wiring(site().root)
    with line(checksum_offload=False) as hosts, site().stitched(GRAPH, TEXT, hosts.edge), hosts.edge.inside():
        wiring.linker.warm()
        try:
            yield Running(hosts, wiring.graphs, wiring.kernel, udp_frames(
                MANY, source_mac=mac(hosts.source.mac), target_mac=mac(hosts.wan.mac)))
        finally:
            wiring.linker.close()


@contextmanager
def _beside_the_sender() -> Iterator[None]:
    """Keep this thread, and what it starts, off the CPU that the sender fills."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _stamps(graph: Running) -> list[int]:
    """Return when each CPU first ran the newcomer, in ns of the monotonic clock; none where it has not run yet."""
    found = graph.kernel.observe(GRAPH)
    assert found is not None
    offset = found.spec.counters[NEWCOMER] + FIRST
    with Map.open(graph_pins(site().root, GRAPH).block) as held, held.memory(writable=False) as block:
        places = range(offset, len(block), BLOCK_BYTES)
        return [stamp for place in places if (stamp := int.from_bytes(block[place : place + 8], "little"))]


def _time_insert(graph: Running, **config: object) -> float:
    """Return the ms from the call until the newcomer ran on a packet, as it noted itself."""
    start = time.monotonic_ns()
    graph.insert(stamp=True, **config)
    while not (stamps := _stamps(graph)):
        pass
    graph.remove()
    return (min(stamps) - start) / 1e6


def _time_insert_anew(graph: Running) -> float:
    """Time an insert of a program that the kernel has to verify again."""
    graph.kernel.close()
    return _time_insert(graph)


def insert_latency() -> list[Measure]:
    """Measure inserts of an installed package, linked before and never linked before."""
    with (_beside_the_sender(), running() as graph,
          Sender(graph.hosts.source, graph.frames, rate=RATE) as sender):
        _time_insert(graph)
        known = [_time_insert(graph) for _ in range(INSERTS)]
        loaded_anew = [_time_insert_anew(graph) for _ in range(INSERTS)]
        fresh = [_time_insert(graph, salt=number) for number in range(1, INSERTS + 1)]
        sender.stop()
    return [below("insert to first packet, linked before (median)", statistics.median(known), "ms", 1.5),
            informative("the same, never loaded before by this process (median)", statistics.median(loaded_anew), "ms"),
            below("insert to first packet, never linked before (median)", statistics.median(fresh), "ms", 80)]


def _send(graph: Running, sink: Sink, rate: float, seconds: float) -> tuple[Sent, int]:
    """Send for a while with nothing changing; return what was sent and how many were lost."""
    before = sink.packets
    with Sender(graph.hosts.source, graph.frames, rate=rate) as sender:
        time.sleep(seconds)
        sent = sender.stop()
    return sent, sent.packets - (sink.packets - before)


def _loss_free_rate(graph: Running, sink: Sink) -> float:
    """Return the highest rate, in steps of a tenth, at which a run without changes loses nothing."""
    sent, lost = _send(graph, sink, 0, 2.0)
    rate = sent.packets / sent.seconds
    while lost:
        rate *= 0.9
        _, lost = _send(graph, sink, rate, 1.0)
    return rate


def _change(graph: Running) -> int:
    """Insert, replace and remove in turn; return how many changes were made."""
    done = 0
    while done < CHANGES:
        graph.insert()
        graph.graphs.replace(GRAPH, NEWCOMER, "probe", config={"count-udp": False})
        graph.remove()
        done += 3
    return done


def loss() -> list[Measure]:
    """Count the packets lost over many changes, at four fifths of the rate that loses nothing."""
    with (_beside_the_sender(), running() as graph,
          swallowing(graph.hosts.sink, ProgramType.XDP) as sink):
        rate = 0.8 * _loss_free_rate(graph, sink)
        received, drops = sink.packets, graph.hosts.drops()
        with Sender(graph.hosts.source, graph.frames, rate=rate) as sender:
            start = time.perf_counter()
            changes = _change(graph)
            seconds = time.perf_counter() - start
            sent = sender.stop()
        lost = sent.packets - (sink.packets - received)
        dropped = graph.hosts.drops() - drops
    what = f"packets lost over {changes:,} inserts, replaces, removals"
    return [below(what, lost, "packets", 0, yardstick="the devices' own drops",
                  yardstick_value=dropped),
            informative("a change, mean over all", seconds / changes * 1e3, "ms"),
            informative("packets sent meanwhile", sent.packets / 1e6, "M"),
            informative("rate meanwhile", sent.packets / sent.seconds / 1e6, "Mpps")]


BENCHMARKS = (Benchmark("insert-latency", insert_latency), Benchmark("loss", loss))
