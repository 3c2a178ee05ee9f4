"""Graph files: TOML to a Graph and back, every fault at once; the canonical JSON of a graph.

Ports left out stay empty here and are filled in by `inkev.graph.wiring`, once packages are known.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
import tomli

from inkev.base.errors import FaultList, UserError
from inkev.base.ids import is_name
from inkev.graph.chains import Link, format_chains, parse_chain
from inkev.graph.model import DROP, HOST, Device, Edge, Graph, Hook, Instance, Node

_SECTIONS = ("graph", "hooks", "devices", "nf", "edges")
_Entry = TypeVar("_Entry", Hook, Device, Instance)


def parse_graph(text: str, where: str = "graph.toml") -> Graph:
    """Return the graph that a text declares.

    Args:
        text: TOML.
        where: what errors call the text.

    Raises:
        Faults: every fault of the text.
    """
    try:
        document = tomli.loads(text)
    except (tomli.TOMLDecodeError, RecursionError) as error:
        hint = "https://toml.io says how it is written"
        raise UserError("bad-toml", f"{where} is not TOML", where=where, why=str(error), hint=hint) from error
    return read_document(document, where)


def read_document(document: dict[str, Any], where: str) -> Graph:
    """Return the graph that a document in the shape of a graph file declares.

    Raises:
        Faults: every fault of the document.
    """
    return _Reader(document, where).read()


def format_graph(graph: Graph) -> str:
    """Return the TOML text that `parse_graph` reads back as this graph."""
    import tomlkit

    return tomlkit.dumps(graph_document(graph))


def graph_document(graph: Graph) -> dict[str, Any]:
    """Return the graph in the shape of a graph file."""
    sections: dict[str, Any] = {"graph": {"name": graph.name}}
    named: tuple[tuple[str, Mapping[str, Hook | Device | Instance]], ...] = (
        ("hooks", graph.hooks),
        ("devices", graph.devices),
        ("nf", graph.instances),
    )
    for section, entries in named:
        if entries:
            sections[section] = {name: msgspec.to_builtins(entry) for name, entry in entries.items()}
    edges: dict[str, Any] = {}
    if graph.edges:
        edges["chains"] = format_chains(graph.edges, graph.instances)
    if graph.points:
        chosen = {edge.source: edge for edge in graph.edges}
        edges["stitch-points"] = {
            name: format_chains([chosen[source]], graph.instances)[0] for name, source in graph.points.items()
        }
    return sections | ({"edges": edges} if edges else {})


def encode_graph(graph: Graph) -> bytes:
    """Return the canonical JSON: sorted keys, no blanks; equal graphs give equal bytes."""
    return msgspec.json.encode(graph, order="sorted")


def decode_graph(raw: bytes) -> Graph:
    """Return the graph that `encode_graph` wrote."""
    return msgspec.json.decode(raw, type=Graph)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest known word, or with all of them where few."""
    choices = sorted(known)
    near = difflib.get_close_matches(word, choices, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there is {', '.join(choices)}" if 0 < len(choices) <= 12 else ""


_VALUES = {
    "type": "a hook's type is xdp, tc-ingress or tc-egress",
    "mode": "a hook's mode is auto, native or generic",
    "package": 'a package is text: "firewall==1.2"',
}
"""What may stand where something else does, by the key's last part."""


class _Reader:
    """Reads one document; what is wrong is collected, what is right is kept."""

    def __init__(self, document: dict[str, Any], where: str) -> None:
        self._document = document
        self._where = where
        self._faults = FaultList()

    def read(self) -> Graph:
        self._unknown(self._document, _SECTIONS, "")
        name = self._graph_name()
        hooks = self._entries("hooks", Hook)
        devices = self._entries("devices", Device)
        instances = self._entries("nf", Instance)
        self._clashes(hooks, devices, instances)
        for hook_name, hook in hooks.items():
            self._hook(hook_name, hook)
        for instance_name, instance in instances.items():
            self._values(instance.config, f"nf.{instance_name}.config")
            self._values(instance.tables, f"nf.{instance_name}.tables")
        links = self._links(instances)
        points = self._points(links, instances)
        self._faults.check()
        edges = tuple(sorted({link.edge for link in links}))
        return Graph(name=name, hooks=hooks, devices=devices, instances=instances, edges=edges, points=points)

    def _place(self, key: str) -> str:
        return f"{self._where}, {key}" if key else self._where

    def _unknown(self, table: Mapping[str, Any], known: Collection[str], key: str) -> None:
        for word in table:
            if word not in known:
                self._faults.add(
                    "unknown-key",
                    f"unknown key {word!r}",
                    where=self._place(f"{key}.{word}".strip(".")),
                    hint=did_you_mean(word, known),
                )

    def _table(self, parent: Mapping[str, Any], name: str, key: str) -> dict[str, Any]:
        found = parent.get(name, {})
        if isinstance(found, dict):
            return found
        self._faults.add("wrong-type", f"{key} must be a table", where=self._place(key))
        return {}

    def _graph_name(self) -> str:
        table = self._table(self._document, "graph", "graph")
        self._unknown(table, ("name",), "graph")
        name = table.get("name")
        if isinstance(name, str) and is_name(name):
            return name
        why = "graph.name is missing" if name is None else f"{name!r} is not a name"
        self._faults.add(
            "bad-name",
            "the graph needs a name",
            where=self._place("graph.name"),
            why=why,
            hint="names are up to 31 of a-z, 0-9, _ and -, starting with a letter",
        )
        return ""

    def _entries(self, section: str, kind: type[_Entry]) -> dict[str, _Entry]:
        found: dict[str, _Entry] = {}
        for name, value in sorted(self._table(self._document, section, section).items()):
            key = f"{section}.{name}"
            self._name(name, key)
            if not isinstance(value, dict):
                self._faults.add("wrong-type", f"{key} must be a table", where=self._place(key))
                continue
            entry = self._entry(value, key, kind)
            if entry is not None:
                found[name] = entry
        return found

    def _entry(self, value: dict[str, Any], key: str, kind: type[_Entry]) -> _Entry | None:
        """Convert one table; unknown keys are faults of their own, so that the rest is still checked."""
        known = [field.encode_name for field in msgspec.structs.fields(kind)]
        self._unknown(value, known, key)
        try:
            return msgspec.convert({k: v for k, v in value.items() if k in known}, kind)
        except msgspec.ValidationError as error:
            why, _, path = str(error).partition(" - at `$")
            place = f"{key}{path.rstrip('`')}"
            hint = _VALUES.get(place.rpartition(".")[2], "docs/operators.md shows how it is written")
            self._faults.add("wrong-type", f"{place} is not right", where=self._place(place), why=why, hint=hint)
            return None

    def _name(self, name: str, key: str) -> None:
        if name in (DROP, HOST):
            self._faults.add(
                "reserved-name",
                f"{name!r} is reserved",
                where=self._place(key),
                why="an edge to drop discards, one to host hands the packet to the host",
                hint="choose another name",
            )
        elif not is_name(name):
            self._faults.add(
                "bad-name",
                f"{name!r} is not a name",
                where=self._place(key),
                hint="names are up to 31 of a-z, 0-9, _ and -, starting with a letter",
            )

    def _clashes(self, *sections: Mapping[str, Any]) -> None:
        owner: dict[str, str] = {}
        for title, section in zip(("hooks", "devices", "nf"), sections, strict=True):
            for name in section:
                if name in owner:
                    self._faults.add(
                        "name-clash",
                        f"{name!r} is both {owner[name]}.{name} and {title}.{name}",
                        where=self._place(f"{title}.{name}"),
                        hint="rename one of them",
                    )
                owner[name] = title

    def _hook(self, name: str, hook: Hook) -> None:
        if bool(hook.interface) == bool(hook.interfaces):
            self._faults.add(
                "hook-interface",
                f"hook {name!r} must have exactly one of interface and interfaces",
                where=self._place(f"hooks.{name}"),
                hint='interface = "eth0" for one, interfaces = "vm-*" for a set',
            )

    def _values(self, value: object, key: str) -> None:
        """Refuse what TOML can say and canonical JSON cannot: dates, times, infinity, not-a-number."""
        if isinstance(value, dict):
            for name, inner in value.items():
                self._values(inner, f"{key}.{name}")
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self._values(inner, f"{key}[{index}]")
        elif not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            self._faults.add(
                "bad-value",
                f"{value} cannot be a value here",
                where=self._place(key),
                hint="write it as text, in quotes",
            )

    def _links(self, instances: Collection[str]) -> list[Link]:
        edges = self._table(self._document, "edges", "edges")
        self._unknown(edges, ("chains", "stitch-points"), "edges")
        chains = edges.get("chains", [])
        if not isinstance(chains, list) or not all(isinstance(chain, str) for chain in chains):
            self._faults.add(
                "wrong-type",
                "edges.chains must be a list of texts",
                where=self._place("edges.chains"),
                hint='chains = ["wan -> fw -> lan"]',
            )
            return []
        links: list[Link] = []
        for index, chain in enumerate(chains):
            links += parse_chain(chain, instances, self._faults, self._place(f"edges.chains[{index}]"))
        return links

    def _points(self, links: list[Link], instances: Collection[str]) -> dict[str, Node]:
        edges = self._table(self._document, "edges", "edges")
        points: dict[str, Node] = {}
        for name, text in sorted(self._table(edges, "stitch-points", "edges.stitch-points").items()):
            key = f"edges.stitch-points.{name}"
            self._name(name, key)
            source = self._point(text, key, {link.edge for link in links}, instances)
            if source is not None:
                points[name] = source
        return points

    def _point(self, text: object, key: str, edges: set[Edge], instances: Collection[str]) -> Node | None:
        """Return the source of the one edge that the text names; ports left out match any."""
        if not isinstance(text, str):
            self._faults.add("wrong-type", f"{key} must be an edge", where=self._place(key), hint='"wan -> fw"')
            return None
        wanted = self._wanted(text, key, instances)
        if wanted is None:
            return None
        found = [edge for edge in edges if _matches(wanted, edge)]
        if len(found) == 1:
            return found[0].source
        choices = ", ".join(sorted(map(str, found or edges)))
        self._faults.add(
            "no-such-edge" if not found else "ambiguous-edge",
            f"{text!r} names {'no edge' if not found else 'more than one edge'}",
            where=self._place(key),
            hint=f"there is {choices}" if choices else "",
        )
        return None

    def _wanted(self, text: str, key: str, instances: Collection[str]) -> Edge | None:
        if "<" not in text and ">" not in text:
            name, _, port = text.strip().partition(":")
            return Edge(source=Node(name=name, port=port), target=Node(name=""))
        links = parse_chain(text, instances, self._faults, self._place(key))
        if len(links) > 1:
            self._faults.add(
                "ambiguous-edge",
                f"{text!r} is more than one edge",
                where=self._place(key),
                hint="a stitch point is one edge, one way: a -> b",
            )
        return links[0].edge if len(links) == 1 else None


def _matches(wanted: Edge, edge: Edge) -> bool:
    def node(pattern: Node, found: Node) -> bool:
        return pattern.name in ("", found.name) and pattern.port in ("", found.port)

    return node(wanted.source, edge.source) and node(wanted.target, edge.target)
