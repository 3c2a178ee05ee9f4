from __future__ import annotations

import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkev.base.errors import UserError
from inkev.graph.cutting import longest_chain, middle_cuts, parse_source, partition
from inkev.graph.drawing import MAPS_WORTH_TRYING, Function
from inkev.graph.model import DROP, HOST, Edge, Graph, Hook, Instance, Node
from inkev.graph.partition import Drop, Out, Partition, Pass, Segment, Slot, Step, Target
from inkev.graph.reading import parse_graph
from tests.graph.strategies import graphs

HOPS = 24
Walk = list[tuple[str, object]]


def choose(instance: str, entered: int, hop: int, seed: int, outputs: list[int]) -> int:
    """A function of everything an NF can see: which output port a packet takes."""
    return outputs[zlib.crc32(repr((instance, entered, hop, seed)).encode()) % len(outputs)]


def end_of(node: Node) -> tuple[str, object]:
    return {DROP: ("end", DROP), HOST: ("end", HOST)}.get(node.name, ("out", node.name))


def walk_graph(graph: Graph, functions: Mapping[str, Function], hook: str, seed: int) -> Walk:
    targets = {edge.source: edge.target for edge in graph.edges}
    node, walk = targets[Node(name=hook)], []
    for hop in range(HOPS + 1):
        if node.name not in functions:
            return [*walk, end_of(node)]
        if hop == HOPS:
            break
        function = functions[node.name]
        entered = function.number(node.port)
        walk.append((node.name, entered))
        outputs = [i for i, port in enumerate(function.ports) if port in function.outputs]
        port = function.ports[choose(node.name, entered, hop, seed, outputs)]
        node = targets[Node(name=node.name, port=port)]
    return walk


def walk_partition(whole: Partition, hook: str, seed: int) -> Walk:
    segments: dict[object, Segment] = {s.key: s for s in whole.segments}
    behind = {(s.program_type, whole.slots[s.key]): s for s in whole.segments if s.key in whole.slots}
    segment = segments[f"hook:{hook}"]
    target: Target = segment.head
    walk: Walk = []
    hop = 0
    while True:
        if isinstance(target, Slot):
            entered = target.port
            segment = behind[segment.program_type, target.number]
            target = segment.head
            assert not isinstance(target, Step) or target.port == entered
        if not isinstance(target, Step):
            return [*walk, {Drop: ("end", DROP), Pass: ("end", HOST)}.get(type(target)) or ("out", target.node)]
        if hop == HOPS:
            return walk
        walk.append((target.instance, target.port))
        exits = {e.port: e.target for e in segment.exits if e.instance == target.instance}
        target = exits[choose(target.instance, target.port, hop, seed, sorted(exits))]
        hop += 1


def some_cuts(graph: Graph) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([str(edge.source) for edge in graph.edges]), unique=True)


@given(st.data(), graphs(), st.integers(0, 1 << 30))
@settings(max_examples=200)
def test_every_partition_walks_as_the_graph_does(
    data: st.DataObject, made: tuple[Graph, dict[str, Function]], seed: int
) -> None:
    graph, functions = made
    whole = partition(graph, functions, cuts=data.draw(some_cuts(graph)), refusals=data.draw(some_cuts(graph)))
    for hook in graph.hooks:
        assert walk_partition(whole, hook, seed) == walk_graph(graph, functions, hook, seed)


@given(st.data(), graphs())
def test_the_same_input_gives_the_same_segments(data: st.DataObject, made: tuple[Graph, dict[str, Function]]) -> None:
    graph, functions = made
    cuts = data.draw(some_cuts(graph))
    first = partition(graph, functions, cuts=cuts)
    assert partition(graph, dict(reversed(functions.items())), cuts=list(reversed(cuts))) == first
    assert partition(graph, functions, cuts=cuts, previous=first) == first


@given(st.data(), graphs())
def test_surviving_slots_keep_their_numbers(data: st.DataObject, made: tuple[Graph, dict[str, Function]]) -> None:
    graph, functions = made
    first = partition(graph, functions, cuts=data.draw(some_cuts(graph)))
    second = partition(graph, functions, cuts=data.draw(some_cuts(graph)), previous=first)
    assert all(second.slots[key] == number for key, number in first.slots.items() if key in second.slots)
    assert len(set(second.slots.values())) == len(second.slots)


@given(st.data(), graphs())
def test_a_segment_is_sound(data: st.DataObject, made: tuple[Graph, dict[str, Function]]) -> None:
    """Members are entered only from above, all exits are there, maps fit, each program type knows its own slots."""
    graph, functions = made
    whole = partition(graph, functions, cuts=data.draw(some_cuts(graph)))
    assert len({s.key for s in whole.segments}) == len(whole.segments)
    for segment in whole.segments:
        place = {name: i for i, name in enumerate(segment.members)}
        assert [(e.instance, e.port) for e in segment.exits] == sorted(
            (name, functions[name].number(port)) for name in segment.members for port in functions[name].outputs
        )
        for exit_ in segment.exits:
            if isinstance(exit_.target, Step):
                assert place[exit_.instance] < place[exit_.target.instance]
        maps = sum(functions[name].maps.get(segment.program_type, 0) for name in segment.members)
        assert maps <= MAPS_WORTH_TRYING or len(segment.members) == 1


@given(graphs(cyclic=False))
def test_without_cycles_and_cuts_a_hook_is_one_program(made: tuple[Graph, dict[str, Function]]) -> None:
    graph, functions = made
    light = {name: Function(ports=f.ports, outputs=f.outputs) for name, f in functions.items()}
    whole = partition(
        Graph(name="g", hooks=graph.hooks, devices=graph.devices, instances=graph.instances, edges=graph.edges), light
    )
    assert [s.key for s in whole.segments if not s.key.startswith("hook:")] == []
    assert longest_chain(whole) == 1


BOTH = Function(ports=("wan", "lan"), outputs=frozenset(("wan", "lan")))
PLAIN = parse_graph("""
[graph]
name = "g"
[hooks]
wan = { interface = "a", type = "xdp" }
lan = { interface = "b", type = "xdp" }
[nf]
fw = { package = "fw" }
rt = { package = "rt" }
[edges]
chains = ["wan <-> wan:fw:lan <-> wan:rt:lan <-> lan"]
""")
TWO = {"fw": BOTH, "rt": BOTH}


def segment_of(whole: Partition, key: str) -> Segment:
    return next(s for s in whole.segments if s.key == key)


def test_a_chain_both_ways_is_one_program_each_way() -> None:
    whole = partition(PLAIN, TWO)
    assert segment_of(whole, "hook:wan").members == ("fw", "rt")
    assert segment_of(whole, "hook:lan").members == ("rt", "fw")
    assert whole.slots == {"fw:lan": 0, "rt:wan": 1}
    assert segment_of(whole, "rt:wan").members == ("fw",)
    assert segment_of(whole, "rt:wan").cyclic


def test_the_way_back_out_of_the_hook_it_came_by_is_marked() -> None:
    whole = partition(PLAIN, TWO)
    outs = {e.target.node: e.target.same_hook for e in segment_of(whole, "hook:wan").exits if isinstance(e.target, Out)}
    assert outs == {"wan": True, "lan": False}


def test_a_cut_straight_out_is_a_segment_without_members() -> None:
    whole = partition(PLAIN, TWO, cuts=["rt:lan"])
    assert segment_of(whole, "rt:lan").members == ()
    assert segment_of(whole, "rt:lan").head == Out(node="lan", number=0)


def test_an_instance_reached_by_two_program_types_is_linked_for_both() -> None:
    graph = Graph(
        name="g",
        hooks={"x": Hook(interface="a", type="xdp"), "t": Hook(interface="b")},
        instances={"fw": Instance(package="fw"), "rt": Instance(package="rt")},
        edges=tuple(
            Edge(source=parse_source(a), target=parse_source(b))
            for a, b in (
                ("x", "fw:wan"),
                ("t", "fw:wan"),
                ("fw:wan", "drop"),
                ("fw:lan", "rt:wan"),
                ("rt:wan", "drop"),
                ("rt:lan", "host"),
            )
        ),
    )
    whole = partition(graph, TWO, cuts=["fw:lan"])
    assert {(s.key, s.program_type) for s in whole.segments} == {
        ("hook:x", "xdp"),
        ("hook:t", "tc"),
        ("fw:lan@xdp", "xdp"),
        ("fw:lan@tc", "tc"),
    }


def test_a_refused_segment_falls_into_two_halves() -> None:
    whole = partition(PLAIN, TWO)
    cuts = middle_cuts(PLAIN, segment_of(whole, "hook:wan"))
    assert cuts == ("fw:lan",)
    halved = partition(PLAIN, TWO, refusals=cuts, previous=whole)
    assert segment_of(halved, "hook:wan").members == ("fw",)


def test_more_stitch_points_than_slots_are_refused() -> None:
    ports = tuple(f"p{i}" for i in range(300))
    wide = {"fw": Function(ports=ports, outputs=frozenset(ports))}
    graph = Graph(
        name="g",
        hooks={"x": Hook(interface="a")},
        instances={"fw": Instance(package="fw")},
        edges=(
            Edge(source=parse_source("x"), target=parse_source("fw:p0")),
            *(Edge(source=Node(name="fw", port=p), target=Node(name="drop")) for p in ports),
        ),
    )
    with pytest.raises(UserError, match="300 stitch points"):
        partition(graph, wide, cuts=[f"fw:{p}" for p in ports])


def test_what_is_inserted_at_a_hook_leaves_the_program_behind_it_as_it_was() -> None:
    before = partition(PLAIN, TWO)
    new = Node(name="rl", port="wan"), Node(name="rl", port="lan")
    edges = {e for e in PLAIN.edges if e.source.name != "wan"} | {
        Edge(source=Node(name="wan"), target=new[0]),
        Edge(source=new[1], target=Node(name="fw", port="wan")),
        Edge(source=new[0], target=Node(name="drop")),
    }
    grown = Graph(
        name="g",
        hooks=PLAIN.hooks,
        instances={**PLAIN.instances, "rl": Instance(package="rl")},
        edges=tuple(sorted(edges)),
    )
    after = partition(grown, {**TWO, "rl": BOTH}, cuts=["wan", "rl:lan"], previous=before)
    moved = segment_of(after, "rl:lan")
    assert (moved.members, moved.head, moved.exits[:3]) == (
        ("fw", "rt"),
        segment_of(before, "hook:wan").head,
        segment_of(before, "hook:wan").exits[:3],
    )
    assert segment_of(after, "hook:lan") == segment_of(before, "hook:lan")
