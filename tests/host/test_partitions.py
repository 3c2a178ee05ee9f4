"""The law of partitions on the kernel: however a graph is cut, packets meet the same verdict, bytes and counters."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inkev.base.paths import BPFFS, Root
from inkev.datapath.kernel import LinuxKernel
from inkev.graph.drawing import Function
from inkev.graph.model import Graph, Instance, Node
from inkev.graph.validate import reached_nodes
from inkev.host.applying import Applier
from inkev.host.catalog import Catalog
from inkev.host.journal import Journal
from inkev.toolchain.linker import BitcodeLinker
from tests.graph.strategies import graphs
from tests.host.kit import Shelf, spreads

pytestmark = pytest.mark.kernel

IPV4 = bytes.fromhex("ffffffffffff02000000000108004500002e000000004011000001020304050607080900005000010000")


class Bench:
    """A root whose graphs are attached nowhere."""

    def __init__(self, folder: Path) -> None:
        self.root = Root(folder, BPFFS / f"ikvt-{folder.name}")
        self.kernel = LinuxKernel(self.root)
        self.kernel.preflight()
        self.linker = BitcodeLinker(folder / "objects")
        self.catalog = Catalog(Shelf(*spreads()))

    def results(self, graph: Graph, cuts: list[str], packets: list[bytes]) -> object:
        """Stitch, run every packet into every hook, and return all that came of it."""
        applier = Applier(self.kernel, self.linker, self.catalog, self.root.state, Journal(self.root.state))
        plan, desired = applier.prepare(graph, None, cuts=cuts, hot=True)
        try:
            spec = applier.run(plan, desired)
            self.kernel.set_devices(graph.name, dict.fromkeys(spec.partition.devices.values(), 1))
            outcomes = [
                self.kernel.test_run(graph.name, 1, f"hook:{hook}", packet)[:2]
                for hook in sorted(graph.hooks)
                for packet in packets
            ]
            counters = {
                name: self.kernel.read_counters(graph.name, offset, 18) for name, offset in spec.counters.items()
            }
            return outcomes, counters, self.kernel.read_counters(graph.name, 128, 16)
        finally:
            self.kernel.remove_graph(graph.name)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("law"))
    yield made
    made.linker.close()
    if made.root.bpffs.exists():
        made.root.bpffs.rmdir()


def on_xdp(graph: Graph, functions: dict[str, Function]) -> Graph:
    """Return the graph of real packages; out by its own hook is another verdict, so edges lead to a device instead."""
    change = msgspec.structs.replace
    hooks = {name: change(hook, type="xdp") for name, hook in graph.hooks.items()}
    edges = [change(e, target=Node(name="tap")) if e.target.name in hooks else e for e in graph.edges]
    graph = change(graph, hooks=hooks, edges=tuple(sorted(edges)), points={})
    reached = {node.name for hook in hooks for node in reached_nodes(graph, hook)}
    instances = {name: Instance(package=f"spread{len(f.ports)}") for name, f in functions.items() if name in reached}
    edges = [e for e in graph.edges if e.source.name in hooks or e.source.name in instances]
    return change(graph, instances=instances, edges=tuple(edges))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), made=graphs(), seed=st.integers(0, 1 << 30))
def test_every_partition_gives_the_same_verdict_bytes_and_counters(
    bench: Bench, data: st.DataObject, made, seed
) -> None:
    graph, functions = made
    graph = on_xdp(graph, functions)
    chance = random.Random(seed)
    packets = [IPV4[:30] + chance.randbytes(34) for _ in range(40)] + [chance.randbytes(60) for _ in range(20)]
    sources = [str(edge.source) for edge in graph.edges if edge.source.name in graph.instances]
    some = data.draw(st.lists(st.sampled_from(sources), unique=True)) if sources else []
    linked = bench.results(graph, [], packets)
    assert bench.results(graph, some, packets) == linked
    assert bench.results(graph, sources, packets) == linked
