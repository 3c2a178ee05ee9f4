"""A root's packages as everybody above the host uses them: store and sources, with plug-ins told of what was done."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from inkev.base.errors import InkevError, TrustError, UserError
from inkev.base.ids import Digest
from inkev.host import installing
from inkev.host.installing import InstallReport, Source
from inkev.host.kernel import Kernel
from inkev.host.locking import read_lock_file
from inkev.host.store import Installed, Store
from inkev.package.archive import digest_file, read_archive, write_archive
from inkev.package.manifest import Manifest
from inkev.package.reading import read_package
from inkev.package.release import Release
from inkev.package.requirement import Requirement, parse_requirement, parse_version
from inkev.package.suggest import did_you_mean

Notify = Callable[..., None]
NAME_A_SOURCE = 'name one by --source DIR, or for good in config.toml of the root: sources = ["DIR"]'


class PublishingSource(Source, Protocol):
    """A source that authors may publish to."""

    def publish(self, archive: Path) -> Release:
        """Add the package of an archive."""
        ...


class ListedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """An installed package."""

    name: str
    version: str
    kind: str
    summary: str
    digest: str
    used_by: tuple[str, ...] = ()
    """Graphs that run it; empty too where this user may not ask the kernel."""


class FoundPackage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of a package in the sources."""

    name: str
    version: str
    kind: str
    summary: str
    license: str
    keywords: tuple[str, ...]
    installed: tuple[str, ...]
    """Versions that this host has."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A package version in a source."""

    package: str
    version: str
    source: str
    digest: str
    dry_run: bool


class Packages:
    """Installs, removes, lists, finds and publishes.

    Args:
        store: what is installed.
        open_sources: opens the sources that are configured, or that --source names.
        open_kernel: gives what says which packages run.
        notify: takes an event of `inkev.plugins.hookspecs` and its arguments.
    """

    def __init__(
        self,
        store: Store,
        open_sources: Callable[[], Sequence[Source]],
        open_kernel: Callable[[], Kernel],
        notify: Notify,
    ) -> None:
        self._store = store
        self._open_sources = open_sources
        self._open_kernel = open_kernel
        self._notify = notify

    def install(
        self, requirements: Sequence[str], *, lock: Path | None = None, dry_run: bool = False
    ) -> InstallReport:
        """Make sure that the store holds what is asked for and all that it requires.

        Args:
            requirements: what is asked for; nothing for exactly what the lock pins.
            lock: a lock file whose versions and digests to keep to.
            dry_run: decide only.
        """
        sources, locked = self._open_sources(), read_lock_file(lock) if lock is not None else ()
        if not sources and not all(map(self._has, requirements)):
            raise UserError("no-source", "no package source is known", hint=NAME_A_SOURCE)
        if lock is not None and not requirements:
            report = installing.install_locked(locked, sources, self._store, dry_run=dry_run)
        else:
            report = installing.install(requirements, sources, self._store, locked=locked, dry_run=dry_run)
        for item in report.packages:
            if item.new and not dry_run:
                self._notify("inkev_installed", package=item.name, version=item.version, digest=item.digest)
        return report

    def uninstall(self, requirements: Iterable[str], *, dry_run: bool = False) -> list[ListedPackage]:
        """Take packages out of the store, one after the other; return those that are gone."""
        running = self._running()
        removed = []
        for requirement in requirements:
            package = installing.uninstall(requirement, self._store, running.__contains__, dry_run=True)
            removed.append(_removed(package))
            if not dry_run:
                installing.uninstall(requirement, self._store, running.__contains__)
                self._notify("inkev_uninstalled", package=package.name, version=package.version, digest=package.digest)
        return removed

    def installed(self) -> list[ListedPackage]:
        """Return what is installed, and which graphs run it."""
        running: dict[Digest, list[str]] = {}
        with suppress(OSError, InkevError):  # without privileges the list is still worth having
            running = self._running()
        return [_listed(package, tuple(running.get(package.digest, ()))) for package in self._store.installed()]

    def search(self, words: Sequence[str]) -> list[FoundPackage]:
        """Return the newest version of each package that matches every word."""
        sources = self._open_sources()
        found = {release.name: release for release in installing.search(words[0] if words else "", sources)}
        for word in words[1:]:
            more = {release.name for release in installing.search(word, sources)}
            found = {name: release for name, release in found.items() if name in more}
        return [self._found(release) for release in found.values()]

    def info(self, text: str, *, ask_sources: bool = False) -> Manifest:
        """Return the manifest of the newest package that satisfies a requirement: an installed one, else a source's.

        Raises:
            UserError: `no-such-package`.
        """
        wanted = parse_requirement(text)
        fitting = [package for package in self._store.installed() if _satisfies(package.name, package.version, wanted)]
        if fitting and not ask_sources:
            return fitting[-1].manifest
        for source in self._open_sources():
            releases = [each for each in source.versions(wanted.name) if _satisfies(each.name, each.version, wanted)]
            if releases:
                return _read_manifest(source.fetch(releases[-1].name, releases[-1].version))
        known = {package.name for package in self._store.installed()} | {one.name for one in self.search(())}
        hint = f"ask for another version: inkev info {wanted.name}"
        if wanted.name not in known:
            hint = did_you_mean(wanted.name, known) or "inkev search shows what there is"
        raise UserError("no-such-package", f"no package satisfies {text}", hint=hint)

    def publish(self, folder: Path, build: Callable[[Path], None], *, dry_run: bool = False) -> Published:
        """Build a package and put its archive into the first source.

        Raises:
            UserError: `read-only-source`.
            ConflictError: `version-exists`.
        """
        manifest, folder = read_package(folder)
        sources = self._open_sources()
        if not sources:
            raise UserError("no-source", "no package source is known to publish to", hint=NAME_A_SOURCE)
        source = sources[0]
        if not hasattr(source, "publish"):
            raise UserError(
                "read-only-source", f"{source.location} takes no packages", hint="name a folder: --source DIR"
            )
        build(folder)
        with tempfile.TemporaryDirectory(prefix="inkev-publish-") as work:
            archive = write_archive(folder, Path(work))
            digest = digest_file(archive)
            if not dry_run:
                source.publish(archive)
        package = manifest.package
        return Published(
            package=package.name, version=package.version, source=source.location, digest=digest, dry_run=dry_run
        )

    def _has(self, requirement: str) -> bool:
        wanted = parse_requirement(requirement)
        return any(_satisfies(package.name, package.version, wanted) for package in self._store.installed())

    def _running(self) -> dict[Digest, list[str]]:
        """Return the digests that graphs run, each with its graphs."""
        found: dict[Digest, list[str]] = {}
        kernel = self._open_kernel()
        for graph in kernel.graphs():
            running = kernel.observe(graph)
            spec = running.spec if running else None
            functions = {locked.digest for locked in spec.lock.values()} if spec else set()
            groups = {group.digest for group in spec.graph.groups.values()} if spec else set()
            for digest in functions | groups:
                found.setdefault(Digest(digest), []).append(graph)
        return found

    def _found(self, release: Release) -> FoundPackage:
        versions = tuple(package.version for package in self._store.installed() if package.name == release.name)
        return FoundPackage(
            name=release.name,
            version=release.version,
            kind=release.kind,
            summary=release.summary,
            license=release.license,
            keywords=release.keywords,
            installed=versions,
        )


def _listed(package: Installed, used_by: tuple[str, ...]) -> ListedPackage:
    about = package.manifest.package
    return ListedPackage(
        name=package.name,
        version=package.version,
        kind=about.kind,
        summary=about.summary,
        digest=package.digest,
        used_by=used_by,
    )


def _removed(package: Installed) -> ListedPackage:
    """Return what is about to go, damaged or not: its manifest is gone afterwards."""
    try:
        return _listed(package, ())
    except TrustError:
        return ListedPackage(
            name=package.name, version=package.version, kind="", summary="damaged", digest=package.digest
        )


def _satisfies(name: str, version: str, wanted: Requirement) -> bool:
    return name == wanted.name and wanted.specifier.contains(parse_version(version), prereleases=True)


def _read_manifest(archive: Path) -> Manifest:
    with tempfile.TemporaryDirectory(prefix="inkev-info-") as work:
        read_archive(archive, Path(work) / "files")
        return read_package(Path(work) / "files")[0]
