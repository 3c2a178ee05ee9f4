from __future__ import annotations

import msgspec
import pytest

from inkev.base.errors import Faults
from inkev.graph.expansion import expand, read_subgraph
from inkev.graph.model import Graph, Group
from inkev.graph.reading import parse_graph
from inkev.package.manifest import Manifest

GROUP = Group(package="pair", version="1.0", digest="0" * 64)
IN_OUT = {"in": {"direction": "in"}, "out": {"direction": "out"}}


def package(ports: dict, subgraph: dict) -> Manifest:
    about = {"name": "pair", "version": "1.0", "kind": "graph", "summary": "s", "license": "MIT"}
    return msgspec.convert({"schema": 1, "package": about, "ports": ports, "graph": subgraph}, Manifest)


PAIR = package(
    IN_OUT,
    {
        "nf": {"a": {"package": "fw", "config": {"x": 1, "y": 1}}, "b": {"package": "counter"}},
        "edges": {"chains": ["in -> a -> b -> out"], "stitch-points": {"middle": "a -> b"}},
    },
)
BOTH = package({"left": {}, "right": {}}, {"nf": {"fw": {"package": "fw"}},
                                           "edges": {"chains": ["left <-> o:fw:i <-> right"]}})  # fmt: skip
WIRE = package(IN_OUT, {"edges": {"chains": ["in -> out"]}})
SPARE = package(
    {**IN_OUT, "spare": {"direction": "out", "optional": True}},
    {"nf": {"a": {"package": "fw"}}, "edges": {"chains": ["in -> a:x -> out", "a:y -> spare"]}},
)


def read(chains: str, nf: str = "p = { package = 'pair' }", points: str = "") -> Graph:
    hooks = 'wan = { interface = "a" }\nlan = { interface = "b" }'
    return parse_graph(f'[graph]\nname = "g"\n[hooks]\n{hooks}\n[nf]\n{nf}\n'
                       f"[edges]\nchains = [{chains}]\nstitch-points = {{ {points} }}\n")  # fmt: skip


def expanded(graph: Graph, **packages: Manifest) -> Graph:
    return expand(graph, {name: (GROUP, manifest) for name, manifest in packages.items()})


def faults(graph: Graph, **packages: Manifest) -> list[tuple[str, str]]:
    with pytest.raises(Faults) as caught:
        expanded(graph, **packages)
    return [(fault.code, fault.where) for fault in caught.value.faults]


def test_an_instance_of_a_graph_becomes_its_parts() -> None:
    graph = expanded(read('"wan -> p -> lan"', points="entry = 'wan -> p', exit = 'p -> lan'"), p=PAIR)
    assert list(graph.instances) == ["p-a", "p-b"]
    assert list(map(str, graph.edges)) == ["p-a -> p-b", "p-b -> lan", "wan -> p-a"]
    assert {name: str(source) for name, source in graph.points.items()} == {
        "entry": "wan", "exit": "p-b", "p-middle": "p-a",
    }  # fmt: skip
    assert graph.groups == {"p": GROUP}


def test_ports_of_both_directions_keep_the_parts_ports() -> None:
    graph = expanded(read('"wan <-> left:p:right <-> lan"'), p=BOTH)
    assert list(map(str, graph.edges)) == ["lan -> p-fw:i", "p-fw:i -> lan", "p-fw:o -> wan", "wan -> p-fw:o"]


def test_two_instances_in_a_row_and_a_port_that_leads_straight_on() -> None:
    nf = "p = { package = 'pair' }\nq = { package = 'pair' }\nr = { package = 'pair' }"
    graph = expanded(read('"wan -> p -> q -> r -> lan"', nf), p=PAIR, q=WIRE, r=PAIR)
    assert list(map(str, graph.edges)) == ["p-a -> p-b", "p-b -> r-a", "r-a -> r-b", "r-b -> lan", "wan -> p-a"]


def test_options_and_rows_go_to_the_part_that_they_name() -> None:
    nf = 'p = { package = "pair", config.a = { x = 2 }, tables."b.rules" = [{ k = 1 }] }'
    parts = expanded(read('"wan -> p -> lan"', nf), p=PAIR).instances
    assert parts["p-a"].config == {"x": 2, "y": 1}
    assert parts["p-b"].tables == {"rules": [{"k": 1}]}


def test_an_optional_port_that_leads_nowhere_drops() -> None:
    assert "p-a:y -> drop" in map(str, expanded(read('"wan -> p:out -> lan"'), p=SPARE).edges)
    assert "p-a:y -> wan" in map(str, expanded(read('"wan -> p:out -> lan", "p:spare -> wan"'), p=SPARE).edges)


def test_every_wrong_use_is_a_fault() -> None:
    assert faults(read('"wan -> p"'), p=PAIR) == [("unwired-port", "nf.p")]
    assert faults(read('"wan -> p -> lan"'), p=SPARE) == [("port-needed", "edges, p -> lan")]
    nf = 'p = { package = "pair", config = { c = {}, a = 3 }, tables.b = [] }\n"p-b" = { package = "x" }'
    assert faults(read('"wan -> p -> lan"', nf), p=PAIR) == [
        ("no-such-part", "nf.p.config.c"), ("wrong-type", "nf.p.config"), ("name-clash", "nf.p"),
    ]  # fmt: skip
    nf = "p = { package = 'pair' }\nq = { package = 'pair' }"
    assert faults(read('"wan -> p -> q -> p", "lan -> q"', nf), p=WIRE, q=WIRE) == [("endless", "edges")] * 2
    assert faults(read('"wan -> p -> lan"', points="x = 'p -> lan'"), p=WIRE)[0][0] == "ambiguous-edge"


@pytest.mark.parametrize(("subgraph", "code"), [
    ({"edges": {"chains": ["in -> drop"]}}, "unwired-port"),
    ({"edges": {"chains": ["in -> out", "out -> in"]}}, "port-direction"),
    ({"hooks": {"x": {"interface": "e"}}, "edges": {"chains": ["in -> out"]}}, "unknown-key"),
])  # fmt: skip
def test_a_package_whose_inside_is_wrong_is_refused(subgraph: dict, code: str) -> None:
    with pytest.raises(Faults) as caught:
        read_subgraph(package(IN_OUT, subgraph))
    assert caught.value.code == code
    assert caught.value.faults[0].where.startswith("nf.toml, graph")
