"""`inkev.lock` beside a graph file: the exact packages that a stitch keeps to, read before it and written after it.

One file serves all graph files of a folder; a graph sees and changes its own part only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from inkev.base.errors import FaultList, TrustError, UserError
from inkev.base.ids import PackageName
from inkev.base.limits import GRAPH_FILE_BYTES
from inkev.graph.model import Graph
from inkev.graph.spec import Locked
from inkev.host.catalog import Catalog, Shelf
from inkev.package.requirement import Requirement, parse_requirement, parse_specifier, parse_version
from inkev.resolve.lock import LOCK, LockedPackage, format_lock, of_graph, read_lock, with_graph


class LockFile:
    """The lock of a graph file's folder."""

    def __init__(self, graph_file: Path) -> None:
        self.path = graph_file.absolute().parent / LOCK
        self._kept = graph_file.is_file()
        """False where the graph came out of a pipe: nothing stands beside it."""

    def read(self, graph: str) -> tuple[LockedPackage, ...]:
        """Return what the graph keeps to; nothing where there is no lock."""
        return of_graph(self._read(), graph)

    def keep(self, graph: Graph, lock: Mapping[str, Locked], catalog: Catalog) -> None:
        """Make the file pin what the graph's instances run and all that those packages require.

        Raises:
            OSError: it cannot be written.
        """
        if not self._kept:
            return
        before = self._read()
        used = {lock[name] for name in graph.instances if name in lock}
        used |= {Locked(package=g.package, version=g.version, digest=g.digest) for g in graph.groups.values()}
        packages = [_package(locked) for locked in _with_required(used, of_graph(before, graph.name), catalog)]
        after = with_graph(before, graph.name, packages)
        if after != before or not self.path.exists():
            _replace(self.path, format_lock(after))

    def _read(self) -> tuple[LockedPackage, ...]:
        return read_lock_file(self.path) if self._kept and self.path.exists() else ()


def read_lock_file(path: Path) -> tuple[LockedPackage, ...]:
    """Return what a lock file pins.

    Raises:
        UserError: `no-such-file`, `file-too-large`, `bad-toml`.
        Faults: everything that is wrong with it.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(GRAPH_FILE_BYTES + 1)
    except OSError as error:
        raise UserError("no-such-file", f"cannot read {path}", why=error.strerror or str(error),
                        hint="inkev stitch writes it beside the graph file") from error  # fmt: skip
    if len(raw) > GRAPH_FILE_BYTES:
        raise UserError("file-too-large", f"{path} is larger than {GRAPH_FILE_BYTES >> 20} MiB")
    try:
        return read_lock(raw.decode(), path.name)
    except UnicodeDecodeError as error:
        raise UserError("bad-toml", f"{path} is not UTF-8 text", where=f"byte {error.start}") from error


def newest(graph: Graph, catalog: Catalog) -> dict[str, Locked]:
    """Return the newest installed package for each instance; what none satisfies is left for the design to tell."""
    found = {}
    for name, instance in graph.instances.items():
        with suppress(UserError):
            found[name] = catalog.choose(instance.package)
    return found


def pinned(graph: Graph, lock: LockFile, shelf: Shelf) -> dict[str, Locked]:
    """Return the package that the lock pins for each instance; one that the file asks otherwise for is left out.

    Raises:
        Faults: `package-not-installed`: every pinned package that is not there.
        TrustError: `digest-mismatch`: an installed package is not the one that is pinned.
    """
    entries = lock.read(graph.name)
    found: dict[str, Locked] = {}
    faults = FaultList()
    for name, instance in graph.instances.items() if entries else ():
        with suppress(UserError):  # a requirement that is none: for the design to tell
            entry = _fitting(parse_requirement(instance.package), entries)
            if entry is not None:
                _check(name, entry, lock.path, shelf, faults)
                found[name] = Locked(package=entry.name, version=entry.version, digest=entry.digest)
    faults.check()
    return found


def _fitting(wanted: Requirement, entries: Iterable[LockedPackage]) -> LockedPackage | None:
    fitting = [
        entry
        for entry in entries
        if entry.name == wanted.name and wanted.specifier.contains(parse_version(entry.version), prereleases=True)
    ]
    return max(fitting, key=lambda entry: parse_version(entry.version), default=None)


def _check(instance: str, entry: LockedPackage, path: Path, shelf: Shelf, faults: FaultList) -> None:
    package = shelf.find(entry.name, entry.version)
    if package is None:
        faults.add(
            "package-not-installed",
            f"{entry.name} {entry.version}, which {path.name} pins, is not installed",
            where=f"nf.{instance}.package",
            hint=f"run inkev install --lock {path}, or inkev stitch --upgrade to take what is installed",
        )
    elif package.digest != entry.digest:
        raise TrustError(
            "digest-mismatch",
            f"the installed {entry.name} {entry.version} is not what {path.name} pins",
            where=str(path),
            why=f"its SHA-256 is {package.digest}, not {entry.digest}",
            hint="if you know why it differs: inkev stitch --upgrade pins what is installed",
        )


def _with_required(used: Iterable[Locked], before: Iterable[LockedPackage], catalog: Catalog) -> set[Locked]:
    """Return packages and all that they require, of what is installed; of those the versions pinned before first."""
    found: set[Locked] = set()
    waiting = list(used)
    taken = [_package(locked) for locked in waiting]
    earlier = list(before)
    while waiting:
        locked = waiting.pop()
        if locked in found:
            continue
        found.add(locked)
        for name, versions in catalog.part(locked).manifest.requires.packages.items():
            wanted = Requirement(PackageName(name), parse_specifier(versions))
            entry = _fitting(wanted, taken) or _fitting(wanted, earlier)
            pin = Locked(package=entry.name, version=entry.version, digest=entry.digest) if entry else None
            with suppress(UserError):  # required, and taken out of the store since: nothing there to pin
                waiting.append(catalog.choose(str(wanted), pin))
    return found


def _package(locked: Locked) -> LockedPackage:
    return LockedPackage(name=locked.package, version=locked.version, digest=locked.digest)


def _replace(path: Path, text: str) -> None:
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text)
    staged.replace(path)
