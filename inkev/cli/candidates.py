"""What a shell may complete: names of packages, graphs, instances, stitch points and tables; never an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import click

from inkev.base.errors import InkevError
from inkev.cli.session import Session
from inkev.graph.spec import Spec

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _completer(names: Callable[[Session], Iterable[str]]) -> Completer:
    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        try:
            found = sorted(set(names(context.ensure_object(Session))))
        except (InkevError, OSError):  # not readable by this user, no bpffs, ...: nothing to offer
            return []
        return [name for name in found if name.startswith(incomplete)]

    return complete


def _specs(session: Session) -> Iterator[Spec]:
    for graph in session.wiring.kernel.graphs():
        running = session.wiring.kernel.observe(graph)
        if running is not None:
            yield running.spec


def _packages(session: Session) -> Iterator[str]:
    for package in session.wiring.store.installed():
        yield package.manifest.package.name


def _instances(session: Session) -> Iterator[str]:
    for spec in _specs(session):
        yield from spec.graph.instances


def _points(session: Session) -> Iterator[str]:
    """Yield points bare and with their graph."""
    for spec in _specs(session):
        for point in (*spec.graph.hooks, *spec.graph.points):
            yield from (point, f"{spec.graph.name}.{point}")


def _tables(session: Session) -> Iterator[str]:
    for spec in _specs(session):
        for instance, locked in spec.lock.items():
            package = session.wiring.store.find(locked.package, locked.version)
            if package is not None:
                yield from (f"{instance}.{table}" for table in package.manifest.tables)


packages = _completer(_packages)
graphs = _completer(lambda session: session.wiring.kernel.graphs())
instances = _completer(_instances)
points = _completer(_points)
tables = _completer(_tables)
