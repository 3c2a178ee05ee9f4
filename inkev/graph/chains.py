"""The chain syntax of graph files: `wan <-> outside:fw:inside <-> lan`, read and written.

    chain = end (arrow end)+          arrow = "->" | "<-" | "<->"
    end   = [port ":"] name [":" port]

`a:nf:b` faces left with port a and right with port b. Of two words the one that names an instance is the node; where
both do, the outer ends of a chain decide (`nf:port` first, `port:nf` last) and the middle must be written with both
ports.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

import msgspec

from inkev.base.errors import FaultList
from inkev.base.ids import NAME
from inkev.graph.model import Edge, Node

_TOKEN = re.compile(r"(?P<blank>\s+)|(?P<arrow><->|->|<-)|(?P<end>[^\s<>]+?(?=\s|<->|<-|->|$))|(?P<bad>.)")


class End(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a chain with the ports that face its neighbours; empty where left out."""

    name: str
    left: str = ""
    right: str = ""
    column: int = 1
    """Where it stands in the text, from 1."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """An edge and where it was written."""

    edge: Edge
    column: int


def parse_chain(text: str, instances: Collection[str], faults: FaultList, where: str) -> list[Link]:
    """Return the chain's edges; faults are recorded with their column, and what is readable is returned."""
    ends, arrows = _split(text, faults, where)
    if len(ends) != len(arrows) + 1 or not arrows:
        return []
    parsed = [
        _parse_end(word, column, _place(i, len(ends)), instances, faults, where)
        for i, (word, column) in enumerate(ends)
    ]
    links = []
    for left, arrow, right in zip(parsed, arrows, parsed[1:], strict=False):
        if left is not None and right is not None:
            links += [Link(edge=edge, column=left.column) for edge in _connect(left, arrow, right)]
    return links


def format_chains(edges: Iterable[Edge], instances: Collection[str]) -> list[str]:
    """Return chains that read back as exactly these edges; both ways where edges pair, long where they meet."""
    units = sorted(_pair(frozenset(edges), instances), key=lambda unit: (unit[0].name in instances, unit))
    chains = []
    while units:
        left, arrow, right = units.pop(0)
        ends = [End(name=left.name, right=left.port), End(name=right.name, left=right.port)]
        while (found := _following(units, arrow, ends[-1], instances)) is not None:
            index, (left, _, right) = found
            units.pop(index)
            ends[-1] = msgspec.structs.replace(ends[-1], right=left.port)
            ends.append(End(name=right.name, left=right.port))
        chains.append(f" {arrow} ".join(":".join(word for word in (e.left, e.name, e.right) if word) for e in ends))
    return chains


def _place(index: int, count: int) -> str:
    return "first" if index == 0 else "last" if index == count - 1 else "middle"


def _split(text: str, faults: FaultList, where: str) -> tuple[list[tuple[str, int]], list[str]]:
    """Return the words and the arrows between them; records a fault wherever the two do not alternate."""
    ends: list[tuple[str, int]] = []
    arrows: list[str] = []
    for match in _TOKEN.finditer(text):
        column = match.start() + 1
        if match["arrow"]:
            if len(arrows) == len(ends):
                _fault(faults, where, column, f"a node is missing before {match['arrow']!r}")
                return [], []
            arrows.append(match["arrow"])
        elif match["end"]:
            if len(ends) > len(arrows):
                _fault(
                    faults,
                    where,
                    column,
                    f"an arrow is missing before {match['end']!r}",
                    "write ->, <- or <-> between two nodes",
                )
                return [], []
            ends.append((match["end"], column))
        elif match["bad"]:
            _fault(faults, where, column, f"unexpected {match['bad']!r}", "arrows are ->, <- and <->")
            return [], []
    if len(ends) < 2 or len(arrows) != len(ends) - 1:
        _fault(
            faults, where, len(text) + 1, "the chain ends where a node should follow", "for example: wan -> fw -> lan"
        )
    return ends, arrows


def _parse_end(
    word: str, column: int, place: str, instances: Collection[str], faults: FaultList, where: str
) -> End | None:
    parts = word.split(":")
    if len(parts) > 3:
        _fault(faults, where, column, f"{word!r} has more than two ports", "write a:nf:b: enter by a, leave by b")
        return None
    bad = next((part for part in parts if NAME.fullmatch(part) is None), None)
    if bad is not None:
        _fault(
            faults,
            where,
            column,
            f"{bad!r} in {word!r} is not a name",
            "names are up to 31 of a-z, 0-9, _ and -, starting with a letter",
        )
        return None
    end = _assign(parts, place, instances)
    if end is None:
        why = "could name either instance" if len(parts) == 2 else "has a port on a side without neighbour"
        _fault(faults, where, column, f"{word!r} {why}", "write both ports in the middle (a:nf:b) and one at an end")
        return None
    return msgspec.structs.replace(end, column=column)


def _assign(parts: list[str], place: str, instances: Collection[str]) -> End | None:
    """Decide which word is the node; None where that cannot be decided."""
    if len(parts) == 1:
        return End(name=parts[0])
    if len(parts) == 3:
        return End(name=parts[1], left=parts[0], right=parts[2]) if place == "middle" else None
    first, second = parts
    known = (first in instances, second in instances)
    if place == "middle" and known[0] == known[1]:
        return None if known[0] else End(name=second, left=first)
    leading = known[0] if known[0] != known[1] else place == "first"
    name, port = (first, second) if leading else (second, first)
    if place == "first":
        return End(name=name, right=port)
    if place == "last":
        return End(name=name, left=port)
    return End(name=name, right=port) if leading else End(name=name, left=port)


def _connect(left: End, arrow: str, right: End) -> Iterator[Edge]:
    a, b = Node(name=left.name, port=left.right), Node(name=right.name, port=right.left)
    if arrow != "<-":
        yield Edge(source=a, target=b)
    if arrow != "->":
        yield Edge(source=b, target=a)


def _fault(faults: FaultList, where: str, column: int, why: str, hint: str = "") -> None:
    faults.add("chain-syntax", "this chain cannot be read", where=f"{where}, column {column}", why=why, hint=hint)


_Unit = tuple[Node, str, Node]


def _pair(edges: frozenset[Edge], instances: Collection[str]) -> set[_Unit]:
    """Join each edge with its reverse; a hook stands left of an instance."""
    units: set[_Unit] = set()
    for edge in edges:
        ends = [edge.source, edge.target]
        both = edge.source != edge.target and Edge(source=edge.target, target=edge.source) in edges
        if both:
            ends.sort(key=lambda node: (node.name in instances, node))
        units.add((ends[0], "<->" if both else "->", ends[1]))
    return units


def _following(units: list[_Unit], arrow: str, last: End, instances: Collection[str]) -> tuple[int, _Unit] | None:
    """Return the place and the direction of a unit that goes on from the instance where the chain ends."""
    if last.name not in instances:
        return None
    for index, (left, kind, right) in enumerate(units):
        if kind == arrow:
            for a, b in ((left, right), (right, left)) if kind == "<->" else ((left, right),):
                if a.name == last.name and _joins(last.left, a.port, instances):
                    return index, (a, kind, b)
    return None


def _joins(entered: str, left_by: str, instances: Collection[str]) -> bool:
    """Return whether an instance between these ports reads back the same: no single port named as an instance."""
    single = entered or left_by
    return bool(entered) == bool(left_by) or single not in instances
