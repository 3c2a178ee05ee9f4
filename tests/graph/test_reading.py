from __future__ import annotations

import pytest
from hypothesis import given

from inkev.base.errors import Faults, UserError
from inkev.graph.model import Edge, Graph, Node
from inkev.graph.reading import decode_graph, encode_graph, format_graph, parse_graph
from tests.graph.strategies import graphs

EDGE = """
[graph]
name = "edge"
[hooks]
wan = { interface = "eth0", type = "xdp" }
lan = { interfaces = "vm-*" }
[nf.fw]
package = "firewall==1.2"
config = { default = "drop" }
tables.rules = [{ src = "10.0.0.0/8", dport = 443 }]
[nf.rt]
package = "router~=1.0"
[edges]
chains = ["wan <-> outside:fw:inside <-> wan:rt:lan <-> lan"]
stitch-points = { screening = "wan -> fw", back = "rt:lan" }
"""


def edges_of(text: str) -> set[str]:
    return {str(edge) for edge in parse_graph(text).edges}


def with_chains(*chains: str) -> str:
    return EDGE.replace(
        '"wan <-> outside:fw:inside <-> wan:rt:lan <-> lan"', ", ".join(f'"{c}"' for c in chains)
    ).replace('stitch-points = { screening = "wan -> fw", back = "rt:lan" }', "")


def codes(text: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        parse_graph(text)
    return [fault.code for fault in caught.value.faults]


def test_a_chain_both_ways_is_read_port_by_port() -> None:
    assert edges_of(EDGE) == {
        "wan -> fw:outside",
        "fw:outside -> wan",
        "fw:inside -> rt:wan",
        "rt:wan -> fw:inside",
        "rt:lan -> lan",
        "lan -> rt:lan",
    }


def test_a_stitch_point_is_the_source_of_its_edge() -> None:
    assert parse_graph(EDGE).points == {"screening": Node(name="wan"), "back": Node(name="rt", port="lan")}


@pytest.mark.parametrize(
    ("chain", "edges"),
    [
        ("wan -> fw -> drop", {"wan -> fw", "fw -> drop"}),
        ("lan <- fw:inside", {"fw:inside -> lan"}),
        ("wan -> outside:fw", {"wan -> fw:outside"}),
        ("wan -> fw:outside", {"wan -> fw:outside"}),
        ("wan->outside:fw->host", {"wan -> fw:outside", "fw -> host"}),
        ("wan -> fw:inside -> lan", {"wan -> fw", "fw:inside -> lan"}),
    ],
)
def test_ports_may_stand_on_either_side(chain: str, edges: set[str]) -> None:
    assert edges_of(with_chains(chain)) == edges


@pytest.mark.parametrize(
    ("chain", "column"),
    [
        ("wan fw", 5),
        ("-> fw", 1),
        ("wan -> ", 8),
        ("wan -> a:b:c:d", 8),
        ("wan -> Fw", 8),
        ("wan > fw", 5),
        ("wan -> a:fw:b", 8),
    ],
)
def test_a_chain_that_cannot_be_read_says_where(chain: str, column: int) -> None:
    with pytest.raises(Faults) as caught:
        parse_graph(with_chains(chain))
    assert [(f.code, f.where) for f in caught.value.faults] == [
        ("chain-syntax", f"graph.toml, edges.chains[0], column {column}")
    ]


def test_every_fault_is_reported_at_once() -> None:
    text = """
    extra = 1
    [graph]
    name = "No Name"
    [hooks]
    drop = { interface = "eth0" }
    wan = { interface = "eth0", interfaces = "e*" }
    lan = { interface = "eth1", type = "tcp" }
    [nf.wan]
    package = "x"
    packge = "y"
    config = { when = 2020-01-01 }
    [edges]
    chains = ["wan fw"]
    stitch-points = { p = "a -> b" }
    """
    assert codes(text) == [
        "unknown-key",
        "bad-name",
        "reserved-name",
        "wrong-type",
        "unknown-key",
        "name-clash",
        "hook-interface",
        "bad-value",
        "chain-syntax",
        "no-such-edge",
    ]


def test_text_that_is_not_toml_is_refused() -> None:
    assert codes("[graph") == ["bad-toml"]


@given(graphs())
def test_a_printed_graph_reads_back_the_same(made: tuple[Graph, object]) -> None:
    graph, _ = made
    assert parse_graph(format_graph(graph)) == graph


@given(graphs())
def test_canonical_json_reads_back_the_same(made: tuple[Graph, object]) -> None:
    graph, _ = made
    assert decode_graph(encode_graph(graph)) == graph


def test_printed_chains_are_as_long_as_they_can_be() -> None:
    text = format_graph(parse_graph(EDGE))
    assert "lan <-> lan:rt:wan <-> inside:fw:outside <-> wan" in text


def test_tables_and_configuration_survive_printing() -> None:
    graph = parse_graph(EDGE)
    assert parse_graph(format_graph(graph)) == graph
    assert Edge(source=Node(name="wan"), target=Node(name="fw", port="outside")) in graph.edges
