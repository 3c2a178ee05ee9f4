"""Forwarding through firewall and router between real hosts, beside the kernel with nftables and routing."""

from __future__ import annotations

import time

from benchmarks import edge
from benchmarks.bulk import gigabits_per_second
from benchmarks.frames import mac, udp_frames
from benchmarks.hosts import SINK_ADDRESS, Line, line
from benchmarks.measure import Benchmark, Measure, at_least, informative
from benchmarks.sender import Sender
from benchmarks.sink import swallowing
from benchmarks.site import site
from inkev.bpf.program import ProgramType
from tests.lab import Lab

FLOWS = 1_000
SECONDS = 2.0
BULK_ROUNDS = 3
NOISE = 0.97
"""Two runs of the same thing differ by this much: what lies within it is no slower."""
INSTANCES = ("fw", "rt")


def _use_kernel(hosts: Line, *, stateful: bool) -> None:
    hosts.edge.forward()
    done = hosts.edge.run("nft", edge.nft_rules(stateful=stateful))
    if done.returncode != 0:
        raise RuntimeError(done.stderr)


def packets_per_second(hosts: Line, kind: ProgramType) -> float:
    """Return the millions of 64-byte packets a second that arrive while the sender sends all it can."""
    sent = udp_frames(FLOWS, source_mac=mac(hosts.source.mac), target_mac=mac(hosts.wan.mac))
    with swallowing(hosts.sink, kind) as sink, Sender(hosts.source, sent) as sender:
        time.sleep(SECONDS)
        done = sender.stop()
        return sink.packets / done.seconds / 1e6


def small_packets() -> list[Measure]:
    """Measure 64-byte UDP by XDP and by the kernel."""
    with line(checksum_offload=False) as hosts:
        _use_kernel(hosts, stateful=False)
        kernel = packets_per_second(hosts, ProgramType.SCHED_CLS)
    with (line(checksum_offload=False) as hosts,
          site().stitched(edge.GRAPH, edge.graph(hosts, INSTANCES), hosts.edge)):
        ours = packets_per_second(hosts, ProgramType.XDP)
    return [at_least("64 byte UDP through firewall + router, XDP", ours, "Mpps", 2, "nftables and routing", kernel)]


def _bulk(hosts: Line) -> float:
    return max(gigabits_per_second(hosts.source.host, hosts.sink.host, SINK_ADDRESS) for _ in range(BULK_ROUNDS))


def _bare() -> float:
    with Lab("ikvb") as lab:
        source, sink = lab.host("src"), lab.host("dst")
        lab.wire(source, "eth0", sink, "eth0", "10.3.0.1/24", "10.3.0.2/24", gro=True)
        return max(gigabits_per_second(source, sink, "10.3.0.2") for _ in range(BULK_ROUNDS))


def bulk_tcp() -> list[Measure]:
    """Measure one bulk TCP flow by tc, by the kernel, and over a bare veth."""
    with line() as hosts:
        _use_kernel(hosts, stateful=True)
        kernel = _bulk(hosts)
    with (line() as hosts,
          site().stitched(edge.GRAPH, edge.graph(hosts, INSTANCES, hook="tc-ingress", stateful=True), hosts.edge)):
        ours = _bulk(hosts)
    bare = _bare()
    return [at_least("bulk TCP through firewall + router, tc", ours, "Gb/s", NOISE, "nftables and routing", kernel),
            informative("bulk TCP over a bare veth: the ceiling", bare, "Gb/s", "firewall + router, tc", ours)]


BENCHMARKS = (Benchmark("small-packets", small_packets), Benchmark("bulk-tcp", bulk_tcp))
