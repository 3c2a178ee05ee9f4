"""Random wired graphs, and the packages they are made of."""

from __future__ import annotations

from hypothesis import strategies as st

from inkev.graph.drawing import Function
from inkev.graph.model import DROP, HOST, Device, Edge, Graph, Hook, Instance, Node

HOOKS = ("wan", "lan", "dmz")
NAMES = ("fw", "rt", "sw", "nat", "rl", "ct")
PORTS = ("a", "b", "c")


@st.composite
def graphs(draw: st.DrawFn, *, cyclic: bool = True) -> tuple[Graph, dict[str, Function]]:
    """Graphs in which every output port is wired and cycles are common."""
    hooks = {
        name: Hook(interface=f"if-{name}", type=draw(st.sampled_from(["xdp", "tc-ingress"])))
        for name in HOOKS[: draw(st.integers(1, 3))]
    }
    names = NAMES[: draw(st.integers(0, 6))]
    functions = {}
    for name in names:
        ports = PORTS[: draw(st.integers(1, 3))]
        functions[name] = Function(ports=ports, outputs=frozenset(ports), maps={"xdp": draw(st.integers(0, 30))})
    edges = []
    sources = [Node(name=hook) for hook in hooks]
    sources += [Node(name=name, port=port) for name in names for port in functions[name].ports]
    for source in sources:
        after = names[names.index(source.name) + 1 if source.name in names else 0 :] if not cyclic else names
        ends = [Node(name=n, port=p) for n in after for p in functions[n].ports]
        ends += [Node(name=n) for n in (*hooks, "tap", DROP, HOST)]
        edges.append(Edge(source=source, target=draw(st.sampled_from(ends))))
    points = {
        f"p{i}": source for i, source in enumerate(draw(st.lists(st.sampled_from(sources), unique=True, max_size=3)))
    }
    graph = Graph(
        name="g",
        hooks=hooks,
        devices={"tap": Device(interface="tap0")},
        instances={name: Instance(package=name) for name in names},
        edges=tuple(sorted(edges)),
        points=points,
    )
    return graph, functions
