from __future__ import annotations

import msgspec

from inkev.graph.editing import edit_text
from inkev.graph.model import Edge, Graph, Instance, Node
from inkev.graph.reading import parse_graph

TEXT = """\
# our edge
[graph]
name = "g"

[hooks]
wan = { interface = "a" }  # the uplink
lan = { interface = "b" }

[nf.fw]  # keeps them out
package = "firewall==1.2"

[edges]
# straight through
chains = [
    "wan <-> outside:fw:inside <-> lan",
    "lan -> host",  # replies
]
"""


def without(graph: Graph, *gone: str) -> set[Edge]:
    return {edge for edge in graph.edges if str(edge) not in gone}


def test_an_inserted_instance_is_written_and_comments_stay() -> None:
    before = parse_graph(TEXT.replace('    "lan -> host",  # replies\n', ""))
    new = Node(name="rl", port="in"), Node(name="rl", port="out")
    edges = without(before, "wan -> fw:outside") | {
        Edge(source=Node(name="wan"), target=new[0]),
        Edge(source=new[1], target=Node(name="fw", port="outside")),
    }
    after = msgspec.structs.replace(
        before,
        edges=tuple(sorted(edges)),
        instances=before.instances | {"rl": Instance(package="ratelimit", config={"rate": "1M"})},
    )
    text = edit_text(TEXT.replace('    "lan -> host",  # replies\n', ""), before, after)
    assert parse_graph(text) == after
    for comment in ("# our edge", "# the uplink", "# keeps them out", "# straight through"):
        assert comment in text
    assert parse_graph(edit_text(text, after, before)) == before


def test_a_replaced_package_changes_one_line() -> None:
    before = parse_graph(TEXT.replace('    "lan -> host",  # replies\n', ""))
    after = msgspec.structs.replace(
        before, instances={"fw": Instance(package="firewall==1.3", config={"default": "drop"})}
    )
    text = edit_text(TEXT, before, after)
    assert 'package = "firewall==1.3"' in text
    assert '"wan <-> outside:fw:inside <-> lan",' in text
    assert '"lan -> host",  # replies' in text
