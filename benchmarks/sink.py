"""Swallows what arrives at a port at the least cost, and counts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.hosts import Port
from benchmarks.yardstick import loaded
from inkev.bpf.link import Link
from inkev.bpf.maps import Map
from inkev.bpf.program import AttachType, ProgramType

_SOURCES = {ProgramType.XDP: ("traffic_xdp.bpf.c", AttachType.XDP),
            ProgramType.SCHED_CLS: ("traffic_tc.bpf.c", AttachType.TCX_INGRESS)}


class Sink:
    """Counts the UDP packets that arrived."""

    def __init__(self, received: Map) -> None:
        self._received = received

    @property
    def packets(self) -> int:
        """How many have arrived so far."""
        stored = self._received.find(bytes(4)) or b""
        return sum(int.from_bytes(stored[at : at + 8], "little") for at in range(0, len(stored), 8))


@contextmanager
def swallowing(port: Port, kind: ProgramType) -> Iterator[Sink]:
    """Count and drop UDP at the port: by XDP where XDP sends to it, by tc where the stack does."""
    source, where = _SOURCES[kind]
    with (loaded(source, kind, attach=where) as traffic, port.host.inside(),
          Link.attach(traffic.programs["swallow"], port.ifindex, where)):
        yield Sink(traffic.maps["received"])
