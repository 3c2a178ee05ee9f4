"""One host's graphs: plan, stitch, unstitch, insert, replace, remove, status, tables; what the command line calls.

One writer at a time per root. Whatever fails leaves the running graph as it was; whatever is killed leaves the old or
the new one, and the next command clears up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from inkev.base.errors import UserError
from inkev.base.holding import hold
from inkev.base.paths import Root
from inkev.graph.model import Graph, Instance
from inkev.graph.spec import Locked, Spec
from inkev.host.actions import Plan
from inkev.host.applying import Applier, OnProgress, SplitNeededError
from inkev.host.catalog import Catalog, Shelf
from inkev.host.changing import find_point, free_name, get_instance, insert_instance, remove_instance, replace_instance
from inkev.host.executing import Executor
from inkev.host.expanding import expand_packages
from inkev.host.graph_files import read_graph, write_change
from inkev.host.journal import Journal
from inkev.host.kernel import Kernel, Running, TableHandle
from inkev.host.linking import Linker
from inkev.host.locking import LockFile, newest, pinned
from inkev.host.planning import plan_clearance, plan_removal
from inkev.host.recovering import recover
from inkev.host.reporting import report
from inkev.host.results import Change, GraphStatus
from inkev.package.suggest import did_you_mean

LOCK_SECONDS = 30
_SPLITS = 8
"""How often one command may split segments: each split halves one."""


class Host:
    """The graphs of one root.

    Args:
        root: where the state is kept.
        kernel: the kernel's driver for the root.
        linker: joins bitcode.
        store: the installed packages.
    """

    def __init__(self, root: Root, kernel: Kernel, linker: Linker, store: Shelf) -> None:
        self._root = root
        self._kernel = kernel
        self._store = store
        self._catalog = Catalog(store)
        self._journal = Journal(root.state)
        self._applier = Applier(kernel, linker, self._catalog, root.state, self._journal)
        self._ready = False
        self._seen: dict[str, Running] = {}
        self._held = ""
        """The graph that this object alone may change now: what was seen of it stays true."""

    def plan(self, graph_file: Path, *, discard_state: bool = False, upgrade: bool = False) -> Change:
        """Return what `stitch` would do; changes nothing, needs no lock."""
        return self.stitch(graph_file, dry_run=True, discard_state=discard_state, upgrade=upgrade)

    def stitch(
        self,
        graph_file: Path,
        *,
        dry_run: bool = False,
        discard_state: bool = False,
        upgrade: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Change:
        """Make the kernel hold exactly what the file declares, of the packages that the lock beside it pins.

        Args:
            graph_file: the file; `inkev.lock` beside it is written where it does not say what now runs.
            dry_run: only plan.
            discard_state: maps whose layout changed may start empty.
            upgrade: take the newest installed packages, whatever the lock and the running graph say.
            on_progress: told of each step.

        Raises:
            InkevError: it cannot; the running graph is as it was.
        """
        lock = LockFile(graph_file)
        graph = expand_packages(read_graph(graph_file), lock, self._catalog, self._store, upgrade=upgrade)
        with self._writing(graph.name, dry_run=dry_run):
            chosen = newest(graph, self._catalog) if upgrade else pinned(graph, lock, self._store)
            change, spec = self._apply(
                graph,
                lambda _: (graph, frozenset()),
                dry_run=dry_run,
                hot=False,
                discard_state=discard_state,
                file=str(graph_file.absolute()),
                locked=chosen,
                on_progress=on_progress,
            )
            return change if dry_run else self._locked(change, lock, graph, spec)

    def unstitch(self, name: str, *, dry_run: bool = False, on_progress: OnProgress | None = None) -> Change:
        """Take a graph out of the kernel: hooks, programs and state."""
        began = time.monotonic()
        with self._writing(name, dry_run=dry_run):
            plan = self._removal(name)
            if not dry_run:
                Executor(self._kernel, name).run(plan, self._journal, on_progress)
                self._seen.pop(name, None)
        return Change(plan=plan, applied=not dry_run, seconds=time.monotonic() - began)

    def _removal(self, name: str) -> Plan:
        try:
            return plan_removal(self._observe(name))
        except FileNotFoundError:  # pins were taken away by hand
            return plan_clearance(name)

    def status(self, name: str | None = None) -> list[GraphStatus]:
        """Return what the kernel holds, of one graph or of all."""
        names = [name] if name is not None else self._kernel.graphs()
        return [report(self._kernel, self._catalog, self._observe(found)) for found in names]

    def insert(
        self,
        graph: str,
        package: str,
        point: str,
        *,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
        in_port: str = "",
        out_port: str = "",
        write: bool = False,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Change:
        """Put an instance of an installed package on an edge of the running graph.

        Args:
            graph: name of the running graph.
            package: a requirement: `ratelimit`, `ratelimit==1.0`.
            point: a declared stitch point, a hook, or an edge's source (`fw:inside`).
            name: the instance's name; the package's where left out.
            config: its options.
            in_port: the port that faces the edge's source; needed where several are possible.
            out_port: the port that faces the edge's target.
            write: change the graph file too.
            dry_run: only plan.
            on_progress: told of each step.
        """
        with self._writing(graph, dry_run=dry_run):
            running = self._current(graph).spec.graph
            locked = self._catalog.choose(package)
            manifest = self._catalog.part(locked).manifest
            chosen = name or free_name(running, manifest.package.name)
            instance = Instance(package=package, config=dict(config or {}))

            def change(before: Graph) -> tuple[Graph, frozenset[str]]:
                return insert_instance(
                    before, chosen, instance, manifest, find_point(before, point), in_port=in_port, out_port=out_port
                )

            return self._change(
                graph, change, chosen, locked={chosen: locked}, write=write, dry_run=dry_run, on_progress=on_progress
            )

    def replace(
        self,
        graph: str,
        instance: str,
        package: str,
        *,
        config: Mapping[str, Any] | None = None,
        discard_state: bool = False,
        write: bool = False,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Change:
        """Put another package, version or configuration behind a running instance's name; its state stays."""
        with self._writing(graph, dry_run=dry_run):
            get_instance(self._current(graph).spec.graph, instance)
            return self._change(
                graph,
                lambda before: replace_instance(before, instance, package, config),
                instance,
                locked={instance: self._catalog.choose(package)},
                write=write,
                dry_run=dry_run,
                discard_state=discard_state,
                on_progress=on_progress,
            )

    def remove(
        self,
        graph: str,
        instance: str,
        *,
        write: bool = False,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Change:
        """Take an instance out of the running graph and join what it stood between; its state is gone."""
        with self._writing(graph, dry_run=dry_run):
            return self._change(
                graph,
                lambda before: remove_instance(before, instance),
                instance,
                write=write,
                dry_run=dry_run,
                on_progress=on_progress,
            )

    def table(self, graph: str, instance: str, table: str) -> TableHandle:
        """Return a running instance's table.

        Raises:
            UserError: `no-such-graph`, `no-such-instance`, `no-such-table`.
        """
        spec = self._current(graph).spec
        get_instance(spec.graph, instance)
        part = self._catalog.part(spec.lock[instance])
        if table not in part.manifest.tables:
            raise UserError(
                "no-such-table",
                f"{instance} has no table {table!r}",
                hint=did_you_mean(table, part.manifest.tables)
                or f"there is {', '.join(part.manifest.tables) or 'none'}",
            )
        return self._applier.open_table(graph, part, instance, table)

    def _change(
        self,
        name: str,
        change: Callable[[Graph], tuple[Graph, frozenset[str]]],
        instance: str,
        *,
        write: bool,
        dry_run: bool,
        discard_state: bool = False,
        locked: Mapping[str, Locked] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Change:
        """Carry out a hot change of the running graph, and of its file where that is wanted."""
        before = self._current(name).spec
        if write and not before.file:
            raise UserError("no-graph-file", f"it is not known which file {name} came from", hint="leave out --write")
        if write and before.graph.groups:
            raise UserError(
                "graph-package",
                f"the file of {name} cannot be changed by --write",
                why=f"{', '.join(before.graph.groups)} stand there, and their parts run",
                hint="leave out --write, or change the file and run inkev stitch",
            )

        def edit(running: Running | None) -> tuple[Graph, frozenset[str]]:
            spec = before if running is None else running.spec
            graph, cuts = change(spec.graph)
            return graph, cuts | frozenset(spec.cuts)

        done, spec = self._apply(
            before.graph,
            edit,
            dry_run=dry_run,
            hot=True,
            discard_state=discard_state,
            file=before.file,
            locked=locked,
            on_progress=on_progress,
        )
        if write and not dry_run:
            write_change(Path(before.file), before.graph, self._current(name).spec.graph)
            done = self._locked(done, LockFile(Path(before.file)), read_graph(Path(before.file)), spec)
        return msgspec.structs.replace(done, instance=instance)

    def _apply(
        self,
        graph: Graph,
        wanted: Callable[[Running | None], tuple[Graph, frozenset[str]]],
        *,
        dry_run: bool,
        hot: bool,
        discard_state: bool,
        file: str,
        locked: Mapping[str, Locked] | None = None,
        on_progress: OnProgress | None,
    ) -> tuple[Change, Spec]:
        """Design, plan and run until nothing is refused that could be split; return the spec that is wanted too."""
        began = time.monotonic()
        for attempt in range(_SPLITS + 1):
            running = self._current(graph.name) if hot else self._kernel.observe(graph.name)
            design, cuts = wanted(running)
            plan, desired = self._applier.prepare(
                design, running, cuts=cuts, hot=hot, chosen=locked, discard_state=discard_state, file=file
            )
            if not plan.is_empty and not dry_run:
                try:
                    self._remember(self._applier.run(plan, desired, on_progress), running)
                except SplitNeededError:
                    if attempt == _SPLITS:
                        raise
                    continue
            change = Change(
                plan=plan,
                applied=not dry_run and not plan.is_empty,
                warnings=desired.warnings,
                seconds=time.monotonic() - began,
            )
            return change, desired.spec
        raise AssertionError("unreachable")

    def _locked(self, change: Change, lock: LockFile, graph: Graph, spec: Spec) -> Change:
        """Return the change once the lock says what the instances of the file run; that it cannot is a warning."""
        try:
            lock.keep(graph, spec.lock, self._catalog)
        except OSError as error:
            warning = f"{lock.path} could not be written: {error.strerror}"
            return msgspec.structs.replace(change, warnings=(*change.warnings, warning))
        return change

    def _remember(self, spec: Spec, running: Running | None) -> None:
        """Keep what now runs, so that the next hot change need not ask; hooks are those that ran before."""
        if running is None:
            self._seen.pop(spec.graph.name, None)
        else:
            self._seen[spec.graph.name] = msgspec.structs.replace(running, spec=spec, leftovers=())

    def _current(self, name: str) -> Running:
        """Return what runs: from memory while the cell still names the generation that was seen."""
        seen = self._seen.get(name)
        if seen is None or (self._held != name and self._kernel.generation(name) != seen.spec.generation):
            self._seen[name] = seen = self._observe(name)
        return seen

    def _observe(self, name: str) -> Running:
        found = self._kernel.observe(name)
        if found is None:
            running = self._kernel.graphs()
            raise UserError(
                "no-such-graph",
                f"no graph {name!r} runs here",
                hint=did_you_mean(name, running)
                or (f"there is {', '.join(running)}" if running else "run inkev stitch GRAPH.toml"),
            )
        return found

    @contextmanager
    def _writing(self, graph: str, *, dry_run: bool) -> Iterator[None]:
        """Be the one writer of the root, over a kernel that no killed command left half changed."""
        if not self._ready:
            self._kernel.preflight()
            self._ready = True
        if dry_run:
            yield
            return
        self._root.folder.mkdir(parents=True, exist_ok=True)
        with hold(self._root.lock, LOCK_SECONDS):
            recover(self._kernel, self._journal, graph, lambda instance, name: self.table(graph, instance, name))
            if graph in self._seen:
                self._current(graph)
                self._held = graph
            try:
                yield
            finally:
                self._held = ""
