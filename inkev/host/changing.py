"""Edits of a running graph as values: insert, replace and remove an instance; pure.

Each returns the new graph and the live cuts that let the change be one slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inkev.base.errors import UserError
from inkev.graph.model import Edge, Graph, Instance, Node
from inkev.package.manifest import Manifest
from inkev.package.suggest import did_you_mean

Changed = tuple[Graph, frozenset[str]]
"""The graph, and the sources of edges to cut."""


def find_point(graph: Graph, text: str) -> Edge:
    """Return the edge that a stitch point, a hook, or `node:port` names.

    Raises:
        UserError: `no-such-point`.
    """
    name, _, port = text.partition(":")
    source = graph.points.get(text, Node(name=name, port=port))
    found = [
        edge
        for edge in graph.edges
        if edge.source == source or (not port and edge.source.name == source.name and text not in graph.points)
    ]
    if len(found) == 1:
        return found[0]
    known = sorted({*graph.points, *graph.hooks, *(str(edge.source) for edge in graph.edges)})
    raise UserError(
        "no-such-point",
        f"{graph.name} has no stitch point {text!r}",
        why=f"{text} has {len(found)} edges out" if found else "",
        hint=did_you_mean(text, known) or f"there is {', '.join(known)}",
    )


def insert_instance(
    graph: Graph, name: str, instance: Instance, manifest: Manifest, at: Edge, *, in_port: str = "", out_port: str = ""
) -> Changed:
    """Return the graph with an instance on an edge; the edge's source, and so the point's name, stays.

    Where the instance's two ports both go both ways and the edge has a reverse, it is put on both.

    Raises:
        UserError: `name-clash`, `port-needed`.
    """
    if name in {*graph.instances, *graph.hooks, *graph.devices}:
        raise UserError("name-clash", f"{graph.name} already has a node {name!r}", hint="choose another with --name")
    entry = Node(name=name, port=_port(manifest, in_port, "in", ""))
    leave = Node(name=name, port=_port(manifest, out_port, "out", entry.port))
    edges = set(graph.edges) - {at}
    edges |= {Edge(source=at.source, target=entry), Edge(source=leave, target=at.target)}
    cuts = {str(at.source), str(leave)}
    back = Edge(source=at.target, target=at.source)
    if back in graph.edges and _both(manifest, entry.port) and _both(manifest, leave.port):
        edges -= {back}
        edges |= {Edge(source=back.source, target=leave), Edge(source=entry, target=back.target)}
        cuts |= {str(back.source), str(entry)}
    grown = graph.instances | {name: instance}
    changed = msgspec.structs.replace(graph, instances=dict(sorted(grown.items())), edges=tuple(sorted(edges)))
    return changed, frozenset(cuts)


def replace_instance(graph: Graph, name: str, package: str, config: Mapping[str, Any] | None) -> Changed:
    """Return the graph with another package, or another configuration, behind an instance's name."""
    instance = get_instance(graph, name)
    options = instance.config if config is None else instance.config | dict(config)
    other = msgspec.structs.replace(instance, package=package, config=options)
    return msgspec.structs.replace(graph, instances=graph.instances | {name: other}), frozenset()


def remove_instance(graph: Graph, name: str) -> Changed:
    """Return the graph with an instance taken out and what it stood between joined.

    Raises:
        UserError: `cannot-bypass` where it is not clear where a packet would go on.
    """
    get_instance(graph, name)
    leaving = {edge.source.port: edge.target for edge in graph.edges if edge.source.name == name}
    edges = {edge for edge in graph.edges if name not in (edge.source.name, edge.target.name)}
    cuts = set()
    for edge in graph.edges:
        if edge.target.name == name and edge.source.name != name:
            edges.add(Edge(source=edge.source, target=_beyond(name, edge.target.port, leaving)))
            cuts.add(str(edge.source))
    instances = {key: value for key, value in graph.instances.items() if key != name}
    points = {key: source for key, source in graph.points.items() if source.name != name}
    changed = msgspec.structs.replace(graph, instances=instances, edges=tuple(sorted(edges)), points=points)
    return changed, frozenset(cuts)


def get_instance(graph: Graph, name: str) -> Instance:
    """Return an instance.

    Raises:
        UserError: `no-such-instance`.
    """
    if name not in graph.instances:
        raise UserError(
            "no-such-instance",
            f"{graph.name} has no instance {name!r}",
            hint=did_you_mean(name, graph.instances) or f"there is {', '.join(graph.instances) or 'none'}",
        )
    return graph.instances[name]


def free_name(graph: Graph, package: str) -> str:
    """Return the package's name, with a number where it is taken."""
    taken = {*graph.instances, *graph.hooks, *graph.devices, *graph.points}
    number, name = 1, package
    while name in taken:
        number += 1
        name = f"{package}{number}"
    return name


def _beyond(name: str, entered: str, leaving: Mapping[str, Node]) -> Node:
    """Return where a packet that entered by a port goes on once the instance is gone: by the one other port."""
    others = {port: target for port, target in leaving.items() if port != entered and target.name != name}
    if len(others) != 1:
        raise UserError(
            "cannot-bypass",
            f"{name} cannot be taken out by itself",
            why=f"a packet that enters it by {entered} may leave by {', '.join(sorted(others)) or 'no port'}",
            hint="change the graph file and run inkev stitch",
        )
    return next(iter(others.values()))


def _both(manifest: Manifest, port: str) -> bool:
    return port in manifest.ports and manifest.ports[port].direction == "both"


def _port(manifest: Manifest, given: str, way: str, other: str) -> str:
    """Return the given port, else the one that is possible; a port already used the other way is not."""
    if given:
        return given
    possible = [name for name, port in manifest.ports.items() if port.direction in (way, "both") and name != other]
    if len(possible) == 1:
        return possible[0]
    raise UserError(
        "port-needed",
        f"which port of {manifest.package.name} is to be its way {way}?",
        hint=f"name it with --{way}: there is {', '.join(possible)}" if possible else "it has none",
    )
