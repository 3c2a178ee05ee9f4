"""Graph packages: an instance of one becomes its parts, named `instance-part`, wired where its ports were; pure.

Inside, the package's ports stand where a graph file has hooks: an edge from a port is a way in, one to it a way out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from inkev.base.errors import FaultList
from inkev.base.ids import is_name
from inkev.graph.model import DROP, HOST, Edge, Graph, Group, Instance, Node
from inkev.graph.reading import read_document
from inkev.graph.wiring import wire
from inkev.package.manifest import Manifest
from inkev.package.suggest import did_you_mean

_SECTIONS = ("nf", "edges")


def read_subgraph(manifest: Manifest, where: str = "nf.toml, graph") -> Graph:
    """Return the graph inside a graph package; its hooks are the package's ports.

    Raises:
        Faults: everything that is wrong with it.
    """
    faults = FaultList()
    inside = manifest.subgraph or {}
    for section in inside:
        if section not in _SECTIONS:
            faults.add("unknown-key", f"a graph package has no {section} of its own", where=f"{where}.{section}",
                       hint="its ports stand where a graph file has hooks")  # fmt: skip
    ports = {name: {"interface": "port"} for name in manifest.ports}
    document = {section: inside[section] for section in _SECTIONS if section in inside}
    faults.check()
    graph = read_document({"graph": {"name": manifest.package.name}, "hooks": ports, **document}, where)
    _check_ports(graph, manifest, where, faults)
    faults.check()
    return graph


def expand(graph: Graph, packages: Mapping[str, tuple[Group, Manifest]]) -> Graph:
    """Return the graph in which each of these instances is replaced by its parts; parts may be graph packages again.

    Args:
        graph: as read, ports left out where there is one.
        packages: instance to the graph package that it is of.

    Raises:
        Faults: `port-needed`, `name-clash`, `no-such-part`, ...: all of them.
    """
    faults = FaultList()
    wired = wire(graph, {name: manifest for name, (_, manifest) in packages.items()}, faults)
    faults.check()
    expansion = _Expansion(wired, packages, faults)
    made = expansion.run()
    faults.check()
    return made


def _check_ports(graph: Graph, manifest: Manifest, where: str, faults: FaultList) -> None:
    sources = {edge.source.name for edge in graph.edges}
    targets = {edge.target.name for edge in graph.edges}
    for name, port in manifest.ports.items():
        ways = (("in", "enters", sources), ("out", "leaves", targets))
        for way, verb, used in ways:
            if port.direction in (way, "both") and name not in used:
                faults.add("unwired-port", f"nothing inside {verb} by port {name!r}", where=f"{where}.edges",
                           hint=f"write an edge {f'{name} -> ' if way == 'in' else f'-> {name}'}")  # fmt: skip
            elif port.direction not in (way, "both") and name in used:
                faults.add("port-direction", f"nothing {verb} by port {name!r}, which is for the other way",
                           where=f"{where}.edges", hint='direction = "both"')  # fmt: skip


class _Expansion:
    def __init__(self, graph: Graph, packages: Mapping[str, tuple[Group, Manifest]], faults: FaultList) -> None:
        self._graph = graph
        self._packages = packages
        self._faults = faults
        self._inside = {name: read_subgraph(manifest, f"nf.{name}") for name, (_, manifest) in packages.items()}
        self._leads = {edge.source: edge.target for edge in graph.edges}

    def run(self) -> Graph:
        kept = {name: one for name, one in self._graph.instances.items() if name not in self._inside}
        taken = {*kept, *self._graph.hooks, *self._graph.devices}
        for name, inside in self._inside.items():
            for part, instance in self._parts(name, inside).items():
                self._check_name(part, taken, name)
                kept[part] = instance
        edges = tuple(sorted(set(self._edges())))
        points = dict(sorted(self._points()))
        groups = self._graph.groups | {name: group for name, (group, _) in self._packages.items()}
        return msgspec.structs.replace(
            self._graph, instances=dict(sorted(kept.items())), edges=edges, points=points, groups=groups
        )

    def _parts(self, name: str, inside: Graph) -> dict[str, Instance]:
        """Return the instances inside, with the options and rows that the outer instance gives to each."""
        outer = self._graph.instances[name]
        tables: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for path, rows in outer.tables.items():
            part, _, table = path.partition(".")
            tables.setdefault(part, {})[table] = rows
        for what, given in (("config", outer.config), ("tables", tables)):
            for part in given:
                if part not in inside.instances:
                    self._faults.add("no-such-part", f"{name} has no part {part!r}", where=f"nf.{name}.{what}.{part}",
                                     hint=did_you_mean(part, inside.instances)
                                     or f"there is {', '.join(inside.instances)}")  # fmt: skip
        return {
            f"{name}-{part}": msgspec.structs.replace(
                instance,
                config=instance.config | self._options(name, part, outer.config.get(part, {})),
                tables=instance.tables | tables.get(part, {}),
            )
            for part, instance in inside.instances.items()
        }

    def _options(self, name: str, part: str, given: object) -> dict[str, Any]:
        if isinstance(given, dict):
            return given
        self._faults.add("wrong-type", f"the options of part {part!r} must be a table", where=f"nf.{name}.config",
                         hint=f"config = {{ {part} = {{ OPTION = VALUE }} }}")  # fmt: skip
        return {}

    def _check_name(self, part: str, taken: set[str], name: str) -> None:
        if part in taken:
            self._faults.add("name-clash", f"{part!r} is a part of {name} and something else", where=f"nf.{name}",
                             hint="rename one of them")  # fmt: skip
        if not is_name(part):
            self._faults.add("bad-name", f"{part!r} is too long for a name", where=f"nf.{name}",
                             hint="give the instance a shorter name")  # fmt: skip
        taken.add(part)

    def _edges(self) -> Iterator[Edge]:
        for edge in self._graph.edges:
            if edge.source.name not in self._inside:
                yield from self._edge(edge.source, edge.target)
        for name, inside in self._inside.items():
            for edge in inside.edges:
                if edge.source.name not in inside.hooks:
                    yield from self._edge(_part(name, edge.source), self._outward(name, edge.target))

    def _edge(self, source: Node, target: Node | None) -> Iterator[Edge]:
        seen: set[Node] = set()
        while target is not None and target.name in self._inside:
            if target in seen:
                self._faults.add("endless", f"a packet that leaves {source} goes round without meeting a function",
                                 where="edges")  # fmt: skip
                return
            seen.add(target)
            target = self._inward(target)
        if target is not None:
            yield Edge(source=source, target=target)

    def _inward(self, target: Node) -> Node | None:
        """Return where a packet goes that enters a group by a port."""
        inside = self._inside[target.name]
        first = next(edge.target for edge in inside.edges if edge.source.name == target.port)
        return self._outward(target.name, first)

    def _outward(self, name: str, target: Node) -> Node | None:
        """Return a node inside a group as a node of the whole; a port is where the whole leads from it."""
        if target.name not in self._inside[name].hooks:
            return _part(name, target)
        beyond = self._leads.get(Node(name=name, port=target.name))
        if beyond is None and self._packages[name][1].ports[target.name].optional:
            return Node(name=DROP)
        if beyond is None:
            fault = f"output port {target.name!r} of {name} leads nowhere"
            if all(known.message != fault for known in self._faults.faults):
                self._faults.add("unwired-port", fault, where=f"nf.{name}",
                                 hint=f"write where it leads, or {name}:{target.name} -> drop")  # fmt: skip
        return beyond

    def _points(self) -> Iterator[tuple[str, Node]]:
        for name, source in self._graph.points.items():
            if source.name not in self._inside:
                yield name, source
                continue
            inside = self._inside[source.name]
            last = [edge.source for edge in inside.edges if edge.target.name == source.port]
            if len(last) == 1 and last[0].name not in inside.hooks:
                yield name, _part(source.name, last[0])
            else:
                self._faults.add("ambiguous-edge", f"stitch point {name!r} is more than one edge, or none",
                                 where=f"edges.stitch-points.{name}",
                                 why=f"inside {source.name}, {len(last)} edges lead to its port {source.port}",
                                 hint="declare it inside the package")  # fmt: skip
        for name, inside in self._inside.items():
            for point, source in inside.points.items():
                if source.name not in inside.hooks:
                    yield f"{name}-{point}", _part(name, source)


def _part(name: str, node: Node) -> Node:
    return node if node.name in (DROP, HOST) else Node(name=f"{name}-{node.name}", port=node.port)
