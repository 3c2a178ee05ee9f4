"""From a graph to the spec that the kernel should hold, and the requests that make it; decides, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import msgspec

import inkev
from inkev.base.errors import FaultList, UserError
from inkev.graph.cutting import middle_cuts, partition
from inkev.graph.model import Graph
from inkev.graph.partition import Partition
from inkev.graph.spec import Locked, Spec
from inkev.graph.validate import check_chain, region_bytes, validate
from inkev.graph.wiring import wire
from inkev.host.catalog import Catalog, Part
from inkev.host.counting import Region, place_counters
from inkev.host.linking import Linker, LinkRequest
from inkev.host.refusals import LADDER, Refusals
from inkev.host.requests import link_request, normal_segment
from inkev.package.columns import FindInterface
from inkev.package.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Desired:
    """What the kernel should hold."""

    spec: Spec
    requests: dict[str, LinkRequest]
    """By segment key."""
    firsts: dict[str, str]
    """Segment key to the digest of its first pipeline, by which refusals are remembered."""
    parts: dict[str, Part]
    """By instance."""
    regions: dict[str, Region]
    """Instance to its counters' place in the running generation."""
    warnings: tuple[str, ...] = ()


FinderIn = Callable[[Graph, str], FindInterface]
"""Graph and instance to what finds interfaces where the instance is."""


class Designer:
    """Builds what is desired; remembers digests, which are dear to compute."""

    def __init__(self, catalog: Catalog, linker: Linker, find_interface: FinderIn) -> None:
        self._catalog = catalog
        self._linker = linker
        self._find_interface = find_interface
        self._digests: dict[tuple[str, ...], str] = {}

    def design(
        self,
        graph: Graph,
        running: Spec | None,
        refusals: Refusals,
        *,
        cuts: Iterable[str] = (),
        chosen: Mapping[str, Locked] | None = None,
        file: str = "",
    ) -> Desired:
        """Return what the graph means on this host.

        Args:
            graph: as read from a file, or changed from the running one.
            running: what the kernel holds; what survives keeps its package, numbers and counters.
            refusals: what the verifier is known to refuse.
            cuts: live cuts of a hot change.
            chosen: packages that are decided already, by instance.
            file: the graph file's path, for the spec.

        Raises:
            Faults: everything that is wrong.
            UserError: a limit is passed.
        """
        lock = self._lock(graph, (running.lock if running else {}) | dict(chosen or {}))
        parts = {name: self._catalog.part(locked) for name, locked in lock.items()}
        wired = self._checked(graph, parts, running)
        regions = self._regions(running)
        counters = place_counters({name: region_bytes(part.manifest) for name, part in parts.items()}, regions)
        drawn = self._draw(wired, parts, counters, refusals, tuple(cuts), running)
        declared = {str(source) for source in wired.points.values()}
        standing = tuple(sorted(cut for cut in set(cuts) - declared if _is_slot(drawn.whole, cut)))
        spec = Spec(
            inkev=inkev.__version__,
            generation=(running.generation if running else 0) + 1,
            graph=wired,
            lock=lock,
            cuts=standing,
            partition=drawn.whole,
            objects=drawn.objects,
            counters=counters,
            bank=running.bank if running else 0,
            owned_tables=_owned(wired),
            file=file,
        )
        return Desired(spec, drawn.requests, drawn.firsts, parts, regions, tuple(drawn.warnings))

    def _draw(
        self,
        graph: Graph,
        parts: Mapping[str, Part],
        counters: Mapping[str, int],
        refusals: Refusals,
        cuts: tuple[str, ...],
        running: Spec | None,
    ) -> _Drawn:
        """Cut the graph until no segment is left that the verifier is known to refuse."""
        functions = {name: part.function for name, part in parts.items()}
        splits: set[str] = set()
        warnings: list[str] = []
        while True:
            whole = partition(
                graph, functions, cuts=cuts, refusals=splits, previous=running.partition if running else None
            )
            whole = _adopt(whole, running)
            find = partial(self._find_interface, graph)
            requests = {
                s.key: link_request(graph.name, s, parts, graph.instances, counters, find) for s in whole.segments
            }
            firsts = {key: self._digest(request, LADDER[0]) for key, request in requests.items()}
            refused = [s for s in whole.segments if refusals.pipeline(firsts[s.key]) is None]
            more = {cut for segment in refused for cut in middle_cuts(graph, segment)} - splits
            if not more:
                _check_chain(whole)
                objects = {
                    key: self._digest(request, refusals.pipeline(firsts[key]) or LADDER[0])
                    if firsts[key] in refusals.rungs
                    else firsts[key]
                    for key, request in requests.items()
                }
                return _Drawn(whole, requests, firsts, objects, warnings)
            splits |= more
            warnings += [
                f"{s.key} is split: this kernel's verifier refused {len(s.members)} functions in one program"
                for s in refused
            ]

    def _digest(self, request: LinkRequest, pipeline: str) -> str:
        """Return the linker's digest, from memory where the same was asked before."""
        bitcode = [str(hash(member.bitcode)) for member in request.members]
        small = msgspec.structs.replace(
            request, members=tuple(msgspec.structs.replace(member, bitcode=b"") for member in request.members)
        )
        key = (pipeline, msgspec.json.encode(small).decode(), *bitcode)
        if key not in self._digests:
            self._digests[key] = self._linker.digest(request, pipeline)
        return self._digests[key]

    def _lock(self, graph: Graph, known: Mapping[str, Locked]) -> dict[str, Locked]:
        faults = FaultList()
        lock: dict[str, Locked] = {}
        for name, instance in graph.instances.items():
            try:
                lock[name] = self._catalog.choose(instance.package, known.get(name))
                _check_kind(name, self._catalog.part(lock[name]).manifest, faults)
            except UserError as error:
                faults.faults += [replace(fault, where=f"nf.{name}.package") for fault in error.faults]
        faults.check()
        return lock

    def _checked(self, graph: Graph, parts: Mapping[str, Part], running: Spec | None) -> Graph:
        """Return the wired graph.

        Raises:
            Faults: everything that is wrong with it.
        """
        manifests = {name: part.manifest for name, part in parts.items()}
        faults = FaultList()
        wired = wire(graph, manifests, faults)
        sound = _sound_tables(wired, parts, running)
        validate(wired, manifests, faults, sound=sound, find_interface=partial(self._find_interface, wired))
        faults.check()
        return wired

    def _regions(self, running: Spec | None) -> dict[str, Region]:
        """Return the running counters' places; an instance whose package is gone from the store keeps none."""
        regions: dict[str, Region] = {}
        for name, offset in (running.counters if running else {}).items():
            try:
                part = self._catalog.part(running.lock[name])  # type: ignore[union-attr]
            except UserError:
                continue
            regions[name] = (offset, region_bytes(part.manifest))
        return regions


@dataclass(frozen=True, slots=True)
class _Drawn:
    whole: Partition
    requests: dict[str, LinkRequest]
    firsts: dict[str, str]
    objects: dict[str, str]
    warnings: list[str]


def _check_kind(name: str, manifest: Manifest, faults: FaultList) -> None:
    package = manifest.package
    if package.kind != "function":
        hint = "put it into the graph file and run inkev stitch" if package.kind == "graph" else ""
        faults.add("not-a-function", f"{package.name} is a package of kind {package.kind}, no function",
                   where=f"nf.{name}.package", hint=hint)  # fmt: skip


def _check_chain(whole: Partition) -> None:
    faults = FaultList()
    check_chain(whole, faults)
    faults.check()


def _adopt(whole: Partition, running: Spec | None) -> Partition:
    """Let a segment behind a slot be one that a hook enters, where such a program runs already.

    It does the same there: what comes through a slot is always marked valid. So inserting at a hook's entry keeps the
    program that stood there.
    """
    if running is None:
        return whole
    fresh = {normal_segment(s) for s in running.partition.segments if s.fresh}
    segments = []
    for segment in whole.segments:
        entered = msgspec.structs.replace(segment, fresh=True)
        segments.append(entered if normal_segment(entered) in fresh else segment)
    return msgspec.structs.replace(whole, segments=tuple(segments))


def _is_slot(whole: Partition, cut: str) -> bool:
    return any(key.partition("@")[0] == cut for key in whole.slots)


def _sound_tables(graph: Graph, parts: Mapping[str, Part], running: Spec | None) -> frozenset[tuple[str, str]]:
    """Return the tables that run with these very rows and that package: a hot change need not look at them again."""
    if running is None:
        return frozenset()
    return frozenset(
        (name, table)
        for name, before in running.graph.instances.items()
        for table, rows in before.tables.items()
        if name in graph.instances
        and graph.instances[name].tables.get(table) == rows
        and parts[name].locked == running.lock.get(name)
    )


def _owned(graph: Graph) -> dict[str, tuple[str, ...]]:
    return {name: tuple(sorted(instance.tables)) for name, instance in graph.instances.items() if instance.tables}
