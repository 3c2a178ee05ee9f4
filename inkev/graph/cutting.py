"""Cuts a graph into segments: `partition`, a pure function; what it returns is `inkev.graph.partition`.

Drawings (`inkev.graph.drawing`) become segments here: keys, slot numbers that survivors keep, exits, and what only the
whole shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from inkev.base.errors import UserError
from inkev.base.limits import HOOKS, SLOTS
from inkev.graph.drawing import Drawing, Drawings, Function, Wires, draw_graph, program_types
from inkev.graph.model import DROP, HOST, Graph, Node, ProgramType
from inkev.graph.partition import Drop, Exit, Out, Partition, Pass, Segment, Slot, Step, Target

DEVICES = 64
"""Places of the graph's device array."""


def partition(
    graph: Graph,
    functions: Mapping[str, Function],
    *,
    cuts: Iterable[str] = (),
    refusals: Iterable[str] = (),
    previous: Partition | None = None,
) -> Partition:
    """Return the segments of a valid, wired graph.

    Args:
        graph: every port filled in; unwired output ports are drops.
        functions: by instance name.
        cuts: sources of edges, as text, where a hot change left a stitch point.
        refusals: sources of edges cut because the verifier refused what was linked across them.
        previous: the running partition; keys that survive keep their numbers.

    Raises:
        UserError: `too-many-stitch-points`, `too-many-hooks`, `too-many-devices`.
    """
    wires = Wires(graph, functions)
    wanted = frozenset(parse_source(text) for text in (*cuts, *refusals)) | frozenset(graph.points.values())
    drawn = draw_graph(wires, wanted)
    keys = _name_slots(drawn)
    numbers = _number(sorted(keys.values()), previous.slots if previous else {}, SLOTS, "stitch points")
    hooks = _number_hooks(graph, previous)
    places = _number(sorted((*graph.hooks, *graph.devices)), previous.devices if previous else {}, DEVICES, "devices")
    segments = _Naming(wires, keys, numbers, places).segments(drawn)
    return Partition(segments=_mark(graph, segments), slots=numbers, hooks=hooks, devices=places)


def parse_source(text: str) -> Node:
    """Return the node that `str(node)` printed."""
    name, _, port = text.partition(":")
    return Node(name=name, port=port)


def middle_cuts(graph: Graph, segment: Segment) -> tuple[str, ...]:
    """Return the sources of the edges to cut so that a refused segment falls into two halves; none for one member."""
    first = set(segment.members[: len(segment.members) // 2])
    steps = {(e.instance, e.target.instance, e.port) for e in segment.exits if isinstance(e.target, Step)}
    crossing = {(a, b) for a, b, _ in steps if a in first and b not in first}
    return tuple(sorted(str(edge.source) for edge in graph.edges if (edge.source.name, edge.target.name) in crossing))


def longest_chain(whole: Partition) -> int:
    """Return the most tail calls on any path that does not run in a circle, the stub's own included."""
    after = _successors(whole.segments)
    beyond = _reachable(after)
    memo: dict[str, int] = {}

    def depth(key: str) -> int:
        if key not in memo:
            memo[key] = 1 + max((depth(n) for n in after[key] if key not in beyond[n]), default=0)
        return memo[key]

    return max((depth(segment.key) for segment in whole.segments if segment.key.startswith("hook:")), default=0)


def _name_slots(drawn: Mapping[ProgramType, Drawings]) -> dict[tuple[ProgramType, Node], str]:
    """Return each slot segment's key: the cut's source, told apart where two program types cross the same cut."""
    types: dict[Node, list[ProgramType]] = {}
    for kind, drawings in drawn.items():
        for source in drawings.slots:
            types.setdefault(source, []).append(kind)
    return {
        (kind, source): str(source) if len(kinds) == 1 else f"{source}@{kind}"
        for source, kinds in types.items()
        for kind in kinds
    }


def _number(keys: list[str], previous: Mapping[str, int], limit: int, what: str) -> dict[str, int]:
    """Give each key a number below the limit: its previous one, else the lowest that nothing has or had.

    Raises:
        UserError: `too-many-...` where the keys do not fit.
    """
    if len(keys) > limit:
        raise UserError(
            f"too-many-{what.replace(' ', '-')}",
            f"the graph needs {len(keys)} {what}, the limit is {limit}",
            hint="split it into several graphs",
        )
    kept = {key: previous[key] for key in keys if key in previous}
    if len(kept) == len(keys):
        return kept
    taken, known = set(kept.values()), set(previous.values())
    free = iter([n for n in range(limit) if n not in known] + sorted(known - taken))
    return {key: kept[key] if key in kept else next(free) for key in keys}


def _number_hooks(graph: Graph, previous: Partition | None) -> dict[str, int]:
    """Number the hooks of each program type by itself; a number that a change of type makes double is given anew."""
    numbers: dict[str, int] = {}
    for kind in program_types(graph):
        names = sorted(name for name, hook in graph.hooks.items() if hook.program_type == kind)
        kept: dict[str, int] = {}
        for name in names:
            number = previous.hooks.get(name) if previous else None
            if number is not None and number not in kept.values():
                kept[name] = number
        numbers |= _number(names, kept, HOOKS, "hooks")
    return dict(sorted(numbers.items()))


class _Naming:
    """Turns drawings into segments: node by node into targets with numbers."""

    def __init__(
        self,
        wires: Wires,
        keys: Mapping[tuple[ProgramType, Node], str],
        slots: Mapping[str, int],
        places: Mapping[str, int],
    ) -> None:
        self._wires = wires
        self._keys = keys
        self._slots = slots
        self._places = places

    def segments(self, drawn: Mapping[ProgramType, Drawings]) -> list[Segment]:
        """Return all segments: hooks first, then slots, each sorted."""
        found = []
        for kind, drawings in drawn.items():
            for hook, drawing in sorted(drawings.hooks.items()):
                found.append(self._segment(f"hook:{hook}", kind, drawing, fresh=True))
            for source, drawing in sorted(drawings.slots.items()):
                found.append(self._segment(self._keys[kind, source], kind, drawing, fresh=False))
        return found

    def _segment(self, key: str, kind: ProgramType, drawing: Drawing, *, fresh: bool) -> Segment:
        exits = [
            Exit(
                instance=name,
                port=self._wires.functions[name].number(source.port),
                target=self._exit(kind, drawing, source, target),
            )
            for name in drawing.members
            for source, target in self._wires.exits(name)
        ]
        exits.sort(key=lambda e: (e.instance, e.port))
        return Segment(
            key=key,
            program_type=kind,
            head=self._target(drawing.head),
            fresh=fresh,
            members=drawing.members,
            exits=tuple(exits),
        )

    def _exit(self, kind: ProgramType, drawing: Drawing, source: Node, target: Node | None) -> Target:
        if target is None:
            return Drop(reason="unwired")
        if source not in drawing.cuts:
            return self._target(target)
        key = self._keys[kind, source]
        port = self._wires.functions[target.name].number(target.port) if target.name in self._wires.functions else 0
        return Slot(number=self._slots[key], key=key, port=port)

    def _target(self, node: Node) -> Target:
        graph = self._wires.graph
        if node.name in graph.instances:
            return Step(instance=node.name, port=self._wires.functions[node.name].number(node.port))
        if node.name == DROP:
            return Drop()
        if node.name == HOST:
            return Pass()
        hook = graph.hooks.get(node.name)
        return Out(node=node.name, number=self._places[node.name], set=hook is not None and bool(hook.interfaces))


def _successors(segments: Iterable[Segment]) -> dict[str, set[str]]:
    return {s.key: {e.target.key for e in s.exits if isinstance(e.target, Slot)} for s in segments}


def _reachable(after: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return for each segment all those that a packet may reach from it; itself only where it is on a cycle."""
    found: dict[str, set[str]] = {}
    for key in after:
        seen: set[str] = set()
        waiting = list(after[key])
        while waiting:
            following = waiting.pop()
            if following not in seen:
                seen.add(following)
                waiting += after[following]
        found[key] = seen
    return found


def _mark(graph: Graph, segments: list[Segment]) -> tuple[Segment, ...]:
    """Mark what only the whole shows: segments on a cycle, and exits to the very hook that every packet came in by.

    On tc-ingress there is no shorter way back than the redirect that any interface gets, so nothing is marked there.
    """
    beyond = _reachable(_successors(segments))
    origins: dict[str, set[str]] = {segment.key: set() for segment in segments}
    for segment in segments:
        if segment.key.startswith("hook:"):
            for key in {segment.key} | beyond[segment.key]:
                origins[key].add(segment.key.removeprefix("hook:"))
    turning = {name for name, hook in graph.hooks.items() if hook.type != "tc-ingress"}
    return tuple(
        _mark_segment(s, origins[s.key] if origins[s.key] <= turning else set(), cyclic=s.key in beyond[s.key])
        for s in segments
    )


def _mark_segment(segment: Segment, origins: set[str], *, cyclic: bool) -> Segment:
    def mark(target: Target) -> Target:
        same = isinstance(target, Out) and origins == {target.node}
        return msgspec.structs.replace(target, same_hook=True) if same else target

    exits = tuple(Exit(e.instance, e.port, mark(e.target)) for e in segment.exits)
    return msgspec.structs.replace(segment, head=mark(segment.head), exits=exits, cyclic=cyclic)
