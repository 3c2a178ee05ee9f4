"""Changes the text of a graph file as a running graph was changed; comments and everything else stay as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inkev.base.errors import FaultList
from inkev.graph.chains import format_chains, parse_chain
from inkev.graph.model import Edge, Graph, Instance, Node

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def edit_text(text: str, before: Graph, after: Graph) -> str:
    """Return the file's text with the difference between two wired graphs put in.

    Args:
        text: a graph file that reads as `before`, but may leave ports out.
        before: the graph as it ran.
        after: the graph as it runs now.
    """
    import tomlkit

    document = tomlkit.parse(text)
    _edit_instances(document, before, after)
    _edit_chains(document, before, after)
    _edit_points(document, before, after)
    return tomlkit.dumps(document)


def _edit_instances(document: TOMLDocument, before: Graph, after: Graph) -> None:
    functions = document.setdefault("nf", {})
    for name in set(before.instances) - set(after.instances):
        functions.pop(name, None)
    for name, instance in after.instances.items():
        if name not in functions:
            functions[name] = msgspec.to_builtins(instance)
        elif instance != before.instances.get(name):
            _edit_instance(functions[name], instance)


def _edit_instance(table: Any, instance: Instance) -> None:  # noqa: ANN401 - tomlkit's tables are dicts of anything
    table["package"] = instance.package
    if instance.config:
        options = table.setdefault("config", {})
        for option, value in instance.config.items():
            if options.get(option) != value:
                options[option] = value


def _edit_chains(document: TOMLDocument, before: Graph, after: Graph) -> None:
    """Write anew the chains that an edge was taken out of, with the new edges; leave the others alone."""
    gone, added = set(before.edges) - set(after.edges), set(after.edges) - set(before.edges)
    chains = document.get("edges", {}).get("chains")
    if chains is None or not gone | added:
        return
    pool, first = set(added), None
    for index in reversed(range(len(chains))):
        edges = _wired(str(chains[index]), before)
        if edges & gone:
            pool |= edges - gone
            first = index
            del chains[index]
    for offset, chain in enumerate(format_chains(pool, after.instances)):
        chains.insert((len(chains) if first is None else first + offset), chain)


def _edit_points(document: TOMLDocument, before: Graph, after: Graph) -> None:
    """A point keeps its source; where the edge there now leads elsewhere, its text must say so."""
    points = document.get("edges", {}).get("stitch-points", {})
    for name in set(before.points) - set(after.points):
        points.pop(name, None)
    edges = {edge.source: edge for edge in after.edges}
    for name in points:
        edge = edges.get(after.points.get(name, Node(name="")))
        text = str(points[name])
        if edge is not None and {"<", ">"} & set(text) and edge not in _wired(text, after):
            points[name] = format_chains([edge], after.instances)[0]


def _wired(chain: str, graph: Graph) -> set[Edge]:
    """Return the graph's edges that a chain of its file declares."""
    found: set[Edge] = set()
    for link in parse_chain(chain, graph.instances, FaultList(), ""):
        found |= {
            edge
            for edge in graph.edges
            if _means(link.edge.source, edge.source) and _means(link.edge.target, edge.target)
        }
    return found


def _means(written: Node, wired: Node) -> bool:
    return written.name == wired.name and written.port in ("", wired.port)
