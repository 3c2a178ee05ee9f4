"""Carries a change out: design, plan, link, run; splits what the verifier refuses and tries again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from inkev.base.errors import KernelError, UserError
from inkev.graph.model import Graph
from inkev.graph.spec import Locked, Spec
from inkev.host.actions import Load, LoadTable, Plan
from inkev.host.blame import blame
from inkev.host.catalog import Catalog, Part
from inkev.host.desired import Designer, Desired
from inkev.host.executing import Executor
from inkev.host.journal import Journal
from inkev.host.kernel import Kernel, Running, SegmentLoad, TableHandle
from inkev.host.linking import LinkedObject, Linker, LinkRequest
from inkev.host.planning import Circumstances, plan_change
from inkev.host.refusals import LADDER, LADDER_CODES, TOO_MANY_MAPS, Refusals, read_refusals, write_refusals
from inkev.host.rows import same_rows
from inkev.host.state_changes import changed_state
from inkev.host.surroundings import interface_finder, observe_surroundings

OnProgress = Callable[[str], None]
_OBJECTS = 256
"""Objects kept in memory; each is some 10 kB."""


class SplitNeededError(KernelError):
    """Every pipeline's object was refused; the segment must fall into two."""


class Applier:
    """Makes the kernel hold a graph."""

    def __init__(self, kernel: Kernel, linker: Linker, catalog: Catalog, state: Path, journal: Journal) -> None:
        self._kernel = kernel
        self._linker = linker
        self._catalog = catalog
        self._state = state
        self._journal = journal
        self._designer = Designer(catalog, linker, lambda graph, name: interface_finder(kernel, graph, name))
        self._refusals: Refusals | None = None
        self._objects: dict[tuple[str, str], LinkedObject] = {}

    def prepare(
        self,
        graph: Graph,
        running: Running | None,
        *,
        cuts: Iterable[str] = (),
        hot: bool = False,
        chosen: Mapping[str, Locked] | None = None,
        discard_state: bool = False,
        file: str = "",
    ) -> tuple[Plan, Desired]:
        """Return the plan and what it leads to; changes nothing.

        Args:
            graph: what is wanted.
            running: what the kernel holds.
            cuts: live cuts.
            hot: hooks, devices and surviving tables are those that run: they are not looked at.
            chosen: packages that are decided already, by instance.
            discard_state: maps whose layout changed may start empty.
            file: the graph file's path.
        """
        old = running.spec if running else None
        desired = self._designer.design(graph, old, self.refusals(), cuts=cuts, chosen=chosen, file=file)
        features = {name for part in desired.parts.values() for name in part.manifest.requires.kernel}
        if features:
            self._kernel.preflight(sorted(features))
        before = self._running_parts(old)
        replaced = changed_state(before, desired.parts, discard=discard_state)
        around = Circumstances(
            surroundings=None if hot else observe_surroundings(self._kernel, desired.spec.graph),
            tables=tuple(self._tables(desired, before, replaced, hot=hot)),
            replace_state=replaced,
        )
        return plan_change(desired, running, around), desired

    def run(self, plan: Plan, desired: Desired, on_progress: OnProgress | None = None) -> Spec:
        """Link what is missing, then run the plan; return the spec that runs.

        Raises:
            SplitNeededError: the kernel is as it was, and a new design avoids what it refused.
            InkevError: the kernel is as it was.
        """
        objects = self._link(plan, desired, on_progress)

        def load(action: Load) -> str:
            return self._load(plan.graph, action, desired, objects)

        def open_table(instance: str, table: str) -> TableHandle:
            return self.open_table(plan.graph, desired.parts[instance], instance, table)

        executor = Executor(self._kernel, plan.graph, load, open_table)
        executor.run(plan, self._journal, on_progress)
        return executor.spec or desired.spec

    def open_table(self, graph: str, part: Part, instance: str, table: str) -> TableHandle:
        """Open a table of an instance, staged or running."""
        return self._kernel.table(graph, instance, part.manifest.tables[table], part.maps())

    def refusals(self) -> Refusals:
        """Return what the verifier is known to refuse; read once."""
        if self._refusals is None:
            self._refusals = read_refusals(self._state)
        return self._refusals

    def _running_parts(self, old: Spec | None) -> dict[str, Part]:
        parts = {}
        for name, locked in (old.lock if old else {}).items():
            try:
                parts[name] = self._catalog.part(locked)
            except UserError:
                continue  # gone from the store: the kernel compares the layouts that it noted
        return parts

    def _tables(
        self, desired: Desired, before: Mapping[str, Part], replaced: Iterable[str], *, hot: bool
    ) -> Iterable[LoadTable]:
        """Yield the tables that the file owns and that do not hold its rows."""
        anew = set(replaced)
        for name, instance in desired.spec.graph.instances.items():
            part, old = desired.parts[name], before.get(name)
            for table, rows in sorted(instance.tables.items()):
                declared = part.manifest.tables[table]
                if old is None or table not in old.manifest.tables or f"{name}/{declared.map}" in anew:
                    yield LoadTable(instance=name, table=table, rows=rows)
                elif not hot and not declared.volatile:
                    held = self.open_table(desired.spec.graph.name, part, name, table).rows()
                    if not same_rows(declared, rows, held):
                        yield LoadTable(instance=name, table=table, rows=rows, previous=held)

    def _link(self, plan: Plan, desired: Desired, on_progress: OnProgress | None) -> dict[str, LinkedObject]:
        objects = {}
        for action in plan.actions:
            if isinstance(action, Load):
                if on_progress is not None:
                    on_progress(f"link {action.key}")
                objects[action.key] = self._climb(desired, action, lambda linked: linked)
        return objects

    def _load(self, graph: str, action: Load, desired: Desired, objects: Mapping[str, LinkedObject]) -> str:
        """Load a segment, by the next pipeline where the verifier refuses one."""
        segment = next(s for s in desired.spec.partition.segments if s.key == action.key)
        layouts = {name: desired.parts[name].maps() for name in action.members}

        def put(linked: LinkedObject) -> LinkedObject:
            self._kernel.load(
                graph,
                action.generation,
                SegmentLoad(
                    key=action.key,
                    program_type=segment.program_type,
                    object=linked,
                    layouts=layouts,
                    replace_state=action.replace_state,
                    entries={name: desired.parts[name].initial() for name in action.members},
                ),
            )
            return linked

        return self._climb(desired, action, put, objects.get(action.key)).digest

    def _climb(
        self,
        desired: Desired,
        action: Load,
        use: Callable[[LinkedObject], LinkedObject],
        linked: LinkedObject | None = None,
    ) -> LinkedObject:
        """Link by one pipeline after the other until the object is of use; remember what was refused.

        Raises:
            SplitNeededError: none was, and the segment has several members.
        """
        first, refusals = desired.firsts[action.key], self.refusals()
        while True:
            pipeline = refusals.pipeline(first) or LADDER[-1]
            try:
                return use(linked or self._linked(desired.requests[action.key], first, pipeline))
            except (KernelError, UserError) as refusal:
                if refusal.code not in LADDER_CODES:
                    raise
                linked = None
                self._refuse(first, action, refusal, desired.parts)

    def _linked(self, request: LinkRequest, first: str, pipeline: str) -> LinkedObject:
        """Return an object, from memory where it was linked or read before."""
        key = (first, pipeline)
        if key not in self._objects:
            if len(self._objects) >= _OBJECTS:
                self._objects.clear()
            self._objects[key] = self._linker.link(request, pipeline)
        return self._objects[key]

    def _refuse(
        self, first: str, action: Load, refusal: KernelError | UserError, parts: Mapping[str, Part]
    ) -> None:
        """Remember one refusal; raise where no pipeline is left."""
        refusals = self.refusals()
        hopeless = isinstance(refusal, KernelError) and TOO_MANY_MAPS in refusal.log
        rung = len(LADDER) if hopeless else refusals.rungs.get(first, 0) + 1
        if rung >= len(LADDER) and len(action.members) < 2:
            refusals.rungs.pop(first, None)  # nothing to split: another try may find another kernel or package
            if isinstance(refusal, KernelError) and action.members:
                raise blame(refusal, action.members[0], parts[action.members[0]])
            raise refusal
        refusals.rungs[first] = rung
        write_refusals(self._state, refusals)
        if rung >= len(LADDER):
            raise SplitNeededError(refusal.code, str(refusal)) from refusal
