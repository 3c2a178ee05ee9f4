"""Chooses the graph packages that a graph file names and puts their parts in their place."""

from __future__ import annotations

from contextlib import suppress

from inkev.base.errors import UserError
from inkev.graph.expansion import expand
from inkev.graph.model import Graph, Group
from inkev.host.catalog import Catalog, Shelf
from inkev.host.locking import LockFile, pinned
from inkev.package.manifest import Manifest
from inkev.package.requirement import parse_requirement

_DEPTH = 8
"""Graph packages within graph packages; one that contains itself would never end."""


def expand_packages(graph: Graph, lock: LockFile, catalog: Catalog, shelf: Shelf, *, upgrade: bool) -> Graph:
    """Return the graph made of functions alone.

    Args:
        graph: as read from a file.
        lock: the lock beside it.
        catalog: chooses packages.
        shelf: where they are.
        upgrade: take the newest, whatever the lock pins.

    Raises:
        Faults: everything that is wrong with the packages or their use.
        UserError: `nested-too-deep`.
    """
    known = {p.manifest.package.name for p in shelf.installed() if p.manifest.package.kind == "graph"}
    for _ in range(_DEPTH):
        names = [name for name, instance in graph.instances.items() if known and _package(instance.package) in known]
        if not names:
            return graph
        pins = {} if upgrade else pinned(graph, lock, shelf)
        groups: dict[str, tuple[Group, Manifest]] = {}
        for name in names:
            locked = catalog.choose(graph.instances[name].package, pins.get(name))
            group = Group(package=locked.package, version=locked.version, digest=locked.digest)
            groups[name] = group, catalog.part(locked).manifest
        graph = expand(graph, groups)
    raise UserError(
        "nested-too-deep",
        f"graph packages of {graph.name} are nested deeper than {_DEPTH}",
        why="one of them may contain itself",
    )


def _package(requirement: str) -> str:
    with suppress(UserError):
        return parse_requirement(requirement).name
    return ""
