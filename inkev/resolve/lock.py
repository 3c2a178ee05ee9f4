"""`inkev.lock`: the exact versions and digests that a graph was resolved to, so that another host gets the same."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from inkev.base.ids import Digest, PackageName, is_name
from inkev.package.reading import parse_toml
from inkev.package.release import Release
from inkev.package.shapes import Report, read_struct

LOCK = "inkev.lock"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class LockedPackage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, order=True):
    """One exact version of one package."""

    name: str
    version: str
    digest: str
    """SHA-256 of its archive."""
    graphs: tuple[str, ...] = ()
    """The graphs that keep to it, for graph files that share a folder; empty for every graph."""


class _Lock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: int
    package: tuple[LockedPackage, ...] = ()


def lock(releases: Iterable[Release]) -> tuple[LockedPackage, ...]:
    """Return the lock of a resolution, sorted."""
    return tuple(sorted(LockedPackage(name=each.name, version=each.version, digest=each.digest) for each in releases))


def format_lock(packages: Iterable[LockedPackage]) -> str:
    """Return the text of a lock file; equal locks give equal texts."""
    text = "# Written by inkev: exact versions and the digests of their archives.\nschema = 1\n"
    for package in sorted(packages):
        text += f'\n[[package]]\nname = "{package.name}"\nversion = "{package.version}"\ndigest = "{package.digest}"\n'
        if package.graphs:
            text += f"graphs = [{', '.join(map(_quoted, package.graphs))}]\n"
    return text


def read_lock(text: str, file: str = LOCK) -> tuple[LockedPackage, ...]:
    """Return what the text of a lock file pins.

    Raises:
        Faults: everything that is wrong with it.
    """
    report = Report(file)
    found = read_struct(_Lock, parse_toml(text, file), "", report)
    for place, package in enumerate(found.package, start=1):
        pinned = is_name(package.name) and _DIGEST.fullmatch(package.digest)
        if not pinned or not all(map(is_name, package.graphs)):
            report.add("bad-lock", f"package {place}", f"{package.name!r} is not pinned by a name and a SHA-256 digest",
                       hint="delete the file, and inkev writes it again")  # fmt: skip
    report.faults.check()
    return found.package


def of_graph(packages: Iterable[LockedPackage], graph: str) -> tuple[LockedPackage, ...]:
    """Return what one graph keeps to."""
    return tuple(package for package in packages if not package.graphs or graph in package.graphs)


def with_graph(
    packages: Iterable[LockedPackage], graph: str, pinned: Iterable[LockedPackage]
) -> tuple[LockedPackage, ...]:
    """Return the lock in which a graph keeps to `pinned` and to nothing else; other graphs keep what they had."""
    users: dict[tuple[str, str, str], set[str]] = {}
    for package in packages:
        others = set(package.graphs) - {graph}
        if others:
            users.setdefault((package.name, package.version, package.digest), set()).update(others)
    for package in pinned:
        users.setdefault((package.name, package.version, package.digest), set()).add(graph)
    return tuple(
        LockedPackage(name=name, version=version, digest=digest, graphs=tuple(sorted(graphs)))
        for (name, version, digest), graphs in sorted(users.items())
    )


def preferences(packages: Iterable[LockedPackage]) -> dict[PackageName, str]:
    """Return the version that each package is locked to, for `resolve`."""
    return {PackageName(package.name): package.version for package in packages}


def digests(packages: Iterable[LockedPackage]) -> dict[tuple[str, str], Digest]:
    """Return the digest that each locked version must have."""
    return {(package.name, package.version): Digest(package.digest) for package in packages}


def _quoted(name: str) -> str:
    return f'"{name}"'
