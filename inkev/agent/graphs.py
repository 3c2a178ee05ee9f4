"""A root's graphs as everybody above the host uses them: the host's verbs, with plug-ins told of what was done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from inkev.base.errors import UserError
from inkev.graph.spec import Locked
from inkev.host.actions import WriteSpec
from inkev.host.host import Host
from inkev.host.kernel import Kernel, TableHandle
from inkev.host.results import Change, GraphStatus

Notify = Callable[..., None]


class Graphs:
    """Changes graphs through the host; announces what was applied, and only that.

    Args:
        host: does everything.
        kernel: says which graphs run.
        notify: takes an event of `inkev.plugins.hookspecs` and its arguments.
    """

    def __init__(self, host: Host, kernel: Kernel, notify: Notify) -> None:
        self._host = host
        self._kernel = kernel
        self._notify = notify

    def choose(self, name: str | None) -> str:
        """Return the graph that is meant: the one named, or the only one that runs.

        Raises:
            UserError: `no-such-graph`: none runs; `which-graph`: several do.
        """
        if name is not None:
            return name
        running = self._kernel.graphs()
        if len(running) == 1:
            return running[0]
        if not running:
            raise UserError("no-such-graph", "no graph runs here", hint="inkev stitch GRAPH.toml")
        raise UserError("which-graph", "several graphs run here", why=", ".join(running), hint="name one of them")

    def plan(self, file: Path, *, discard_state: bool = False, upgrade: bool = False) -> Change:
        """Return what `stitch` would do."""
        return self._host.plan(file, discard_state=discard_state, upgrade=upgrade)

    def status(self, name: str | None = None) -> list[GraphStatus]:
        """Return what the kernel holds, of one graph or of all."""
        return self._host.status(name)

    def table(self, graph: str, instance: str, table: str) -> TableHandle:
        """Return a running instance's table."""
        return self._host.table(graph, instance, table)

    def stitch(self, file: Path, **options: Any) -> Change:  # noqa: ANN401 - Host.stitch says which
        """Make the kernel hold exactly what the file declares."""
        change = self._host.stitch(file, **options)
        self._announce("inkev_stitched", change, generation=change.plan.generation, file=file)
        return change

    def unstitch(self, name: str, **options: Any) -> Change:  # noqa: ANN401 - Host.unstitch says which
        """Take a graph out of the kernel."""
        change = self._host.unstitch(name, **options)
        self._announce("inkev_unstitched", change)
        return change

    def insert(self, graph: str, package: str, point: str, **options: Any) -> Change:  # noqa: ANN401 - as Host.insert
        """Put an instance of an installed package on an edge of the running graph."""
        change = self._host.insert(graph, package, point, **options)
        self._announce_instance("inkev_inserted", change, point=point)
        return change

    def replace(self, graph: str, instance: str, package: str, **options: Any) -> Change:  # noqa: ANN401 - as Host.replace
        """Put another package behind a running instance's name."""
        change = self._host.replace(graph, instance, package, **options)
        self._announce_instance("inkev_replaced", change)
        return change

    def remove(self, graph: str, instance: str, **options: Any) -> Change:  # noqa: ANN401 - Host.remove says which
        """Take an instance out of the running graph."""
        change = self._host.remove(graph, instance, **options)
        self._announce("inkev_removed", change, generation=change.plan.generation, instance=instance)
        return change

    def _announce(self, event: str, change: Change, **arguments: object) -> None:
        if change.applied:
            self._notify(event, graph=change.plan.graph, **arguments)

    def _announce_instance(self, event: str, change: Change, **arguments: object) -> None:
        locked = _find_lock(change)
        package = f"{locked.package}=={locked.version}" if locked else ""
        self._announce(
            event,
            change,
            generation=change.plan.generation,
            instance=change.instance,
            package=package,
            **arguments,
        )


def _find_lock(change: Change) -> Locked | None:
    specs = [action.spec for action in change.plan.actions if isinstance(action, WriteSpec)]
    return specs[-1].lock.get(change.instance) if specs else None
