"""Fills in the ports that a graph file leaves out, where a package has only one that is possible; else a fault."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inkev.base.errors import FaultList
from inkev.graph.model import DROP, HOST, Edge, Graph, Node
from inkev.package.manifest import Manifest
from inkev.package.suggest import did_you_mean

_WAYS = {"in": ("in", "both"), "out": ("out", "both")}


def wire(graph: Graph, manifests: Mapping[str, Manifest], faults: FaultList) -> Graph:
    """Return the graph with every port filled in; nodes, ports and directions that are wrong are recorded.

    Args:
        graph: as read.
        manifests: by instance; an instance whose package is unknown is passed over.
        faults: where to record what is wrong.
    """
    wiring = _Wiring(graph, manifests, faults)
    edges = tuple(sorted({wiring.edge(edge) for edge in graph.edges}))
    points = {name: wiring.node(source, "out", f"stitch point {name}") for name, source in graph.points.items()}
    return msgspec.structs.replace(graph, edges=edges, points=points)


class _Wiring:
    def __init__(self, graph: Graph, manifests: Mapping[str, Manifest], faults: FaultList) -> None:
        self._graph = graph
        self._manifests = manifests
        self._faults = faults
        self._nodes = {*graph.hooks, *graph.devices, *graph.instances, DROP, HOST}
        self._said: set[tuple[str, str]] = set()

    def edge(self, edge: Edge) -> Edge:
        where = f"edges, {edge}"
        return Edge(source=self.node(edge.source, "out", where), target=self.node(edge.target, "in", where))

    def node(self, node: Node, way: str, where: str) -> Node:
        """Return the node with its port, or as it is where that cannot be said."""
        if node.name not in self._nodes:
            self._say(
                "unknown-node",
                node.name,
                f"there is no hook, device or instance {node.name!r}",
                where,
                did_you_mean(node.name, self._nodes),
            )
        elif node.name not in self._graph.instances:
            self._check_outer(node, way, where)
        elif node.name in self._manifests:
            return self._instance(node, self._manifests[node.name], way, where)
        return node

    def _check_outer(self, node: Node, way: str, where: str) -> None:
        if node.port:
            self._say("port-on-hook", str(node), f"{node.name!r} is no instance and has no ports", where, "")
        if way == "out" and node.name not in self._graph.hooks:
            kind = "device" if node.name in self._graph.devices else "reserved node"
            self._say(
                "edge-from-device",
                node.name,
                f"no packet comes from {node.name!r}, which is a {kind}",
                where,
                "packets enter by hooks: write it under [hooks]" if kind == "device" else "",
            )

    def _instance(self, node: Node, manifest: Manifest, way: str, where: str) -> Node:
        possible = [name for name, port in manifest.ports.items() if port.direction in _WAYS[way]]
        package = manifest.package.name
        if node.port and node.port not in manifest.ports:
            self._say(
                "unknown-port",
                str(node),
                f"{package} has no port {node.port!r}",
                where,
                did_you_mean(node.port, manifest.ports) or _list(manifest.ports),
            )
        elif node.port and node.port not in possible:
            verb = "enter" if way == "in" else "leave"
            self._say(
                "port-direction",
                f"{node} {way}",
                f"packets cannot {verb} {node.name} by port {node.port!r}",
                where,
                _list(possible),
            )
        elif not node.port and len(possible) == 1:
            return Node(name=node.name, port=possible[0])
        elif not node.port:
            self._say(
                "port-needed",
                f"{node} {way} {where}",
                f"which port of {node.name} is meant? {package} has {len(possible)} to choose from",
                where,
                f"{_list(possible)}; write {node.name}:PORT" if possible else "",
            )
        return node

    def _say(self, code: str, subject: str, message: str, where: str, hint: str) -> None:
        """Record a fault once for each subject, however many edges share it."""
        if (code, subject) not in self._said:
            self._said.add((code, subject))
            self._faults.add(code, message, where=where, hint=hint)


def _list(names: Mapping[str, object] | list[str]) -> str:
    return f"there is {', '.join(names)}" if names else ""
