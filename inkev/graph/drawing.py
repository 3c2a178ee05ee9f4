"""Draws a graph's segments: what each hook, and each cut that is reached, leads to without crossing another cut.

From a head the drawing follows edges until a cut: a declared stitch point, a live cut of a hot change, a remembered
verifier refusal, or an edge that leads back into the segment (a cycle). Each cut that is reached heads a segment of its
own. Behind hooks and wanted cuts only the segment's own cycles are cut, so the straight way through a chain stays one
program in both directions; what lies behind a cycle's slot is cut at every slot there is: it stays small.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from inkev.base.limits import MAPS_PER_PROGRAM
from inkev.graph.model import Graph, Node, ProgramType

MAPS_WORTH_TRYING = 3 * MAPS_PER_PROGRAM
"""A layout counts maps that an instance's configuration may fold away, so up to here the link decides."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """What the partition needs to know of an instance: a package's ports and how many maps each program type uses."""

    ports: tuple[str, ...]
    """In the manifest's order: the position is the number."""
    outputs: frozenset[str]
    maps: dict[str, int] = {}

    def number(self, port: str) -> int:
        """Return the number that the C source uses for a port."""
        return self.ports.index(port)


@dataclass(frozen=True, slots=True)
class Drawing:
    """What one head reaches without crossing a cut."""

    head: Node
    members: tuple[str, ...]
    """In topological order, ties by name."""
    cuts: frozenset[Node]
    """All cuts that hold in this segment, its own cycles' included."""


@dataclass(slots=True)
class Drawings:
    """All segments of one program type: hook name or cut source to what is drawn there."""

    hooks: dict[str, Drawing] = field(default_factory=dict)
    slots: dict[Node, Drawing] = field(default_factory=dict)


class Wires:
    """The graph as the drawing needs it: who leads where."""

    def __init__(self, graph: Graph, functions: Mapping[str, Function]) -> None:
        self.graph = graph
        self.functions = functions
        self.targets = {edge.source: edge.target for edge in graph.edges}

    def exits(self, instance: str) -> Iterator[tuple[Node, Node | None]]:
        """Yield every output port of an instance with its target, in the order of port numbers."""
        function = self.functions[instance]
        for port in function.ports:
            if port in function.outputs:
                source = Node(name=instance, port=port)
                yield source, self.targets.get(source)

    def steps(self, instance: str, cuts: frozenset[Node]) -> Iterator[tuple[Node, str]]:
        """Yield the uncut edges from an instance to other instances: source and the target's name."""
        for source, target in self.exits(instance):
            if target is not None and source not in cuts and target.name in self.graph.instances:
                yield source, target.name


def draw_graph(wires: Wires, wanted: frozenset[Node]) -> dict[ProgramType, Drawings]:
    """Draw every program type, cutting in the middle whatever has far more maps than a program may use."""
    while True:
        drawn = {kind: _draw_all(wires, kind, wanted) for kind in program_types(wires.graph)}
        more = frozenset(
            source
            for kind, drawings in drawn.items()
            for drawing in (*drawings.hooks.values(), *drawings.slots.values())
            for source in _overflowing(wires, kind, drawing)
        )
        if not more:
            return drawn
        wanted |= more


def program_types(graph: Graph) -> list[ProgramType]:
    """Return the types of program that the graph's hooks run."""
    return sorted({hook.program_type for hook in graph.hooks.values()})


def _overflowing(wires: Wires, kind: ProgramType, drawing: Drawing) -> Iterator[Node]:
    """Yield the edges to cut where the members have far more maps than a program may use."""
    maps = sum(wires.functions[name].maps.get(kind, 0) for name in drawing.members)
    if maps <= MAPS_WORTH_TRYING:
        return
    first = set(drawing.members[: len(drawing.members) // 2])
    for name in first:
        for source, target in wires.steps(name, drawing.cuts):
            if target not in first:
                yield source


def _draw_all(wires: Wires, kind: ProgramType, wanted: frozenset[Node]) -> Drawings:
    """Draw the hooks' segments, then those behind slots until no new cycle shows."""
    drawn = Drawings()
    known = wanted
    for name in sorted(wires.graph.hooks):
        target = wires.targets.get(Node(name=name))
        if wires.graph.hooks[name].program_type == kind and target is not None:
            drawn.hooks[name] = drawing = _draw(wires, target, wanted)
            known |= drawing.cuts
    while True:
        drawn.slots = _draw_slots(wires, drawn.hooks.values(), wanted, known)
        found = known.union(*(drawing.cuts for drawing in drawn.slots.values()))
        if found == known:
            return drawn
        known = found


def _draw_slots(
    wires: Wires, roots: Iterable[Drawing], wanted: frozenset[Node], known: frozenset[Node]
) -> dict[Node, Drawing]:
    """Draw what lies behind every cut that is reached from the roots.

    Behind a wanted cut the drawing is as a hook's would be: what is inserted at a hook's entry leaves the program that
    stood there as it is.
    """
    drawn: dict[Node, Drawing] = {}
    waiting = [source for root in roots for source in _reached_cuts(wires, root)]
    while waiting:
        source = waiting.pop()
        if source not in drawn:
            drawn[source] = _draw(wires, wires.targets[source], wanted if source in wanted else known)
            waiting += _reached_cuts(wires, drawn[source])
    return drawn


def _reached_cuts(wires: Wires, drawing: Drawing) -> list[Node]:
    return [
        source
        for name in drawing.members
        for source, target in wires.exits(name)
        if target is not None and source in drawing.cuts
    ]


def _draw(wires: Wires, head: Node, cuts: frozenset[Node]) -> Drawing:
    """Follow edges from the head up to the cuts; an edge into an instance on the way there is a cut too."""
    if head.name not in wires.graph.instances:
        return Drawing(head, (), cuts)
    back = _back_edges(wires, head.name, cuts)
    return Drawing(head, _topological(wires, head.name, cuts | back), cuts | back)


def _back_edges(wires: Wires, head: str, cuts: frozenset[Node]) -> frozenset[Node]:
    """Return the sources of edges that close a cycle, found depth first in the order of port numbers."""
    back: set[Node] = set()
    open_, seen = {head}, {head}
    stack = [(head, wires.steps(head, cuts))]
    while stack:
        name, steps = stack[-1]
        following = next(steps, None)
        if following is None:
            open_.discard(name)
            stack.pop()
            continue
        source, target = following
        if target in open_:
            back.add(source)
        elif target not in seen:
            open_.add(target)
            seen.add(target)
            stack.append((target, wires.steps(target, cuts)))
    return frozenset(back)


def _topological(wires: Wires, head: str, cuts: frozenset[Node]) -> tuple[str, ...]:
    """Return everything reachable from the head so that each comes after all that lead to it; ties by name."""
    incoming: dict[str, int] = {head: 0}
    waiting = [head]
    while waiting:
        for _, target in wires.steps(waiting.pop(), cuts):
            if target not in incoming:
                incoming[target] = 0
                waiting.append(target)
            incoming[target] += 1
    ready, order = [head], []
    while ready:
        order.append(heapq.heappop(ready))
        for _, target in wires.steps(order[-1], cuts):
            incoming[target] -= 1
            if incoming[target] == 0:
                heapq.heappush(ready, target)
    return tuple(order)
