from __future__ import annotations

import msgspec
import pytest

from inkev.base.errors import FaultList
from inkev.graph.model import Graph, Node
from inkev.graph.reading import parse_graph
from inkev.graph.validate import check_chain, validate
from inkev.graph.wiring import wire
from inkev.package.manifest import Manifest

HOOKS = """
[hooks]
wan = { interface = "a", type = "xdp" }
lan = { interface = "b", type = "xdp" }
"""


def manifest(name: str, ports: dict, **more: object) -> Manifest:
    return msgspec.convert(
        {
            "schema": 1,
            "package": {"name": name, "version": "1.0", "summary": "s", "license": "MIT"},
            "programs": {"main": {"file": "m.c", "entry": name}},
            "ports": ports,
            **more,
        },
        Manifest,
    )


PACKAGES = {
    "fw": manifest(
        "firewall",
        {"outside": {}, "inside": {}},
        config={"default": {"type": "enum", "values": ["drop", "accept"], "default": "drop"}},
        tables={
            "rules": {
                "map": "rules",
                "columns": {"src": {"type": "prefix4"}, "hits": {"type": "u64", "read-only": True}},
            }
        },
    ),
    "one": manifest("one", {"in": {"direction": "in"}, "out": {"direction": "out"}}),
    "sw": manifest("switch", {p: {"flood": True, "optional": True} for p in ("p0", "p1", "p2")}),
    "tc": manifest(
        "tconly",
        {"in": {"direction": "in"}, "out": {"direction": "out"}},
        programs={"main": {"file": "m.c", "entry": "t", "hooks": ["tc"]}},
    ),
}


def read(nf: str, chains: str, hooks: str = HOOKS, rest: str = "") -> Graph:
    names = "\n".join(f'[nf.{name}]\npackage = "x"' for name in nf.split())
    return parse_graph(f'[graph]\nname = "g"\n{hooks}\n{names}\n{rest}\n[edges]\nchains = [{chains}]\n')


def faults_of(graph: Graph) -> list[tuple[str, str]]:
    manifests = {name: PACKAGES[name.rstrip("0123456789")] for name in graph.instances}
    faults = FaultList()
    wired = wire(graph, manifests, faults)
    validate(wired, manifests, faults)
    return [(fault.code, fault.hint) for fault in faults.faults]


def codes(graph: Graph) -> list[str]:
    return [code for code, _ in faults_of(graph)]


def test_a_good_graph_has_no_fault() -> None:
    assert codes(read("fw one", '"wan <-> outside:fw:inside -> one -> lan", "lan -> inside:fw"')) == []


def test_ports_are_filled_in_where_one_is_possible() -> None:
    faults = FaultList()
    wired = wire(read("one", '"wan -> one -> lan", "lan -> host"'), {"one": PACKAGES["one"]}, faults)
    assert [str(edge) for edge in wired.edges] == ["lan -> host", "one:out -> lan", "wan -> one:in"]
    assert faults.faults == []


@pytest.mark.parametrize(
    ("nf", "chains", "expected"),
    [
        ("fw", '"wan -> outside:fw:inside -> lam", "lan -> fw:inside", "fw:outside -> drop"', ["unknown-node"]),
        ("fw", '"wan -> fw -> lan", "lan -> host"', ["port-needed", "port-needed", "unwired-port", "unwired-port"]),
        ("fw", '"wan <-> outsid:fw:inside <-> lan"', ["unknown-port", "unwired-port"]),
        ("one", '"wan -> out:one -> lan", "lan -> host"', ["port-direction"]),
        ("one", '"wan -> one -> lan", "one -> host", "lan -> host"', ["two-edges"]),
        ("one", '"wan -> one", "lan -> host"', ["unwired-port"]),
        ("one one1", '"wan -> one -> lan", "one1 -> drop", "lan -> host"', ["disconnected"]),
        ("one", '"wan -> one -> lan"', ["unwired-hook"]),
        ("tc", '"wan -> tc -> lan", "lan -> host"', ["no-program"]),
        ("sw", '"wan <-> p0:sw", "lan <-> p1:sw", "sw:p2 -> host"', ["flood-needs-tc", "flood-needs-tc"]),
    ],
)
def test_each_fault_has_its_code(nf: str, chains: str, expected: list[str]) -> None:
    assert codes(read(nf, chains)) == expected


def test_a_switch_of_two_interfaces_floods_on_xdp() -> None:
    assert codes(read("sw", '"wan <-> p0:sw:p1 <-> lan"')) == []


def test_options_and_tables_are_checked_and_hints_are_near() -> None:
    graph = read(
        "",
        '"wan <-> outside:fw:inside <-> lan"',
        rest="""
[nf.fw]
package = "x"
config = { defalt = "accept", default = "maybe" }
tables.rule = []
tables.rules = [{ scr = "10.0.0.0/8" }, { src = "10.0.0.0/8", hits = 1 }]
""",
    )
    assert faults_of(graph) == [
        ("unknown-option", "did you mean default?"),
        ("bad-value", ""),
        ("unknown-table", "did you mean rules?"),
        ("unknown-column", "did you mean src?"),
        ("missing-column", ""),
        ("unknown-column", ""),
    ]


def test_every_value_of_every_row_is_checked_at_its_place() -> None:
    rows = '{ src = "10.0.0.0/8" }, { src = "10.0.0.1/8" }, { src = 7 }, { src = "10.0.0.1/8", hits = 2 }'
    graph = read("", '"wan <-> outside:fw:inside <-> lan"', rest=f'[nf.fw]\npackage = "x"\ntables.rules = [{rows}]')
    faults = FaultList()
    validate(wire(graph, PACKAGES, faults), PACKAGES, faults)
    assert [(fault.code, fault.where) for fault in faults.faults] == [
        ("bad-value", "nf.fw.tables.rules[1].src"),
        ("bad-value", "nf.fw.tables.rules[2].src"),
        ("unknown-column", "nf.fw.tables.rules[3]"),
        ("bad-value", "nf.fw.tables.rules[3].src"),
    ]


def test_rows_that_were_looked_at_before_are_not_looked_at_again() -> None:
    graph = read("", '"wan <-> outside:fw:inside <-> lan"', rest='[nf.fw]\npackage = "x"\ntables.rules = [{}]')
    faults = FaultList()
    wired = wire(graph, PACKAGES, faults)
    validate(wired, PACKAGES, faults, sound={("fw", "rules")})
    assert faults.faults == []


def test_stitch_points_name_one_edge_each() -> None:
    graph = read("one", '"wan -> one -> lan", "lan -> host"')
    points = {"a": Node(name="wan"), "b": Node(name="wan"), "c": Node(name="one", port="in"), "lan": Node(name="wan")}
    graph = msgspec.structs.replace(graph, points=points)
    assert codes(graph) == [
        "port-direction",
        "duplicate-stitch-point",
        "no-such-edge",
        "duplicate-stitch-point",
        "name-clash",
    ]


def test_edges_stay_in_one_namespace_and_do_not_lead_into_egress() -> None:
    hooks = """
[hooks]
wan = { interface = "a" }
lan = { interface = "b", netns = "other" }
out = { interface = "c", type = "tc-egress" }
"""
    graph = read("one", '"wan -> one -> lan", "lan -> out", "out -> out"', hooks=hooks)
    assert sorted(codes(graph)) == ["cross-namespace", "cross-namespace", "edge-into-egress"]


def test_too_many_counters_are_refused() -> None:
    big = manifest(
        "big",
        {"in": {"direction": "in"}, "out": {"direction": "out"}},
        metrics={f"m{i}": {"help": "h"} for i in range(2100)},
    )
    names = ["one0", "one1"]
    graph = read(" ".join(names), '"wan -> one0 -> one1 -> lan", "lan -> host"')
    faults = FaultList()
    manifests = dict.fromkeys(names, big)
    validate(wire(graph, manifests, faults), manifests, faults)
    assert [fault.code for fault in faults.faults] == ["too-many-counters"]


def test_a_chain_past_the_kernels_limit_is_refused() -> None:
    from inkev.graph.cutting import partition
    from inkev.graph.drawing import Function

    names = [f"n{i}" for i in range(40)]
    graph = read(" ".join(names), '"wan -> ' + " -> ".join(f"in:{n}:out" for n in names) + ' -> lan", "lan -> host"')
    functions = dict.fromkeys(names, Function(ports=("in", "out"), outputs=frozenset({"out"})))
    faults = FaultList()
    check_chain(partition(graph, functions, cuts=[f"{n}:out" for n in names[:31]]), faults)
    assert faults.faults == []
    check_chain(partition(graph, functions, cuts=[f"{n}:out" for n in names[:35]]), faults)
    assert [fault.code for fault in faults.faults] == ["chain-too-long"]
