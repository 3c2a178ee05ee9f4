"""Installs and uninstalls: resolve, fetch, verify, keep. Sources are reached through `Source` only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from inkev import __version__
from inkev.base.errors import ConflictError, TrustError, UserError
from inkev.base.ids import PackageName
from inkev.host.store import Installed, InUse, Store, refuse_running
from inkev.package.manifest import Permissions
from inkev.package.release import Release, describe
from inkev.package.requirement import Requirement, parse_requirement, parse_specifier, parse_version
from inkev.package.suggest import did_you_mean
from inkev.resolve.lock import LockedPackage, digests, preferences
from inkev.resolve.pubgrub import resolve


class Source(Protocol):
    """Where packages come from: a folder, a registry."""

    @property
    def location(self) -> str:
        """How the user names it."""
        ...

    def versions(self, name: str) -> list[Release]:
        """Return every release of a package, yanked ones too; none where the source does not know it."""
        ...

    def search(self, text: str) -> list[Release]:
        """Return the newest release of each package whose name, summary or keywords hold the text."""
        ...

    def fetch(self, name: str, version: str) -> Path:
        """Return the path of an archive whose bytes have the digest that the source lists.

        Raises:
            TrustError: `digest-mismatch`.
            UserError: `no-such-version`.
        """
        ...


class InstallItem(msgspec.Struct, frozen=True, kw_only=True):
    """One package of an install."""

    name: str
    version: str
    digest: str
    source: str = ""
    """Location of the source it comes from; empty where it was installed before."""
    new: bool = False
    asked: bool = False
    """False for what only another package requires."""
    permissions: Permissions | None = None
    """What its code may do; None where a dry run has not fetched it."""


class InstallReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an install did, or with `dry_run` would do."""

    packages: tuple[InstallItem, ...]
    dry_run: bool = False


def install(
    specs: Sequence[str],
    sources: Sequence[Source],
    store: Store,
    *,
    dry_run: bool = False,
    pre_releases: bool = False,
    locked: Iterable[LockedPackage] = (),
) -> InstallReport:
    """Return the report of an install: afterwards the store holds what was asked for and all that it requires.

    What is asked for comes in the newest version that goes together with the rest; what is only required stays in the
    version that is installed where that will do; a lock's versions come before both.

    Args:
        specs: requirements such as `firewall==1.2`.
        sources: asked in this order; of one version the first source that has it counts.
        store: where to keep them.
        dry_run: decide only.
        pre_releases: whether pre-releases will do.
        locked: exact versions and digests to keep to.

    Raises:
        UserError: `no-such-package`, `no-such-version`, `unresolvable`; nothing was changed.
        TrustError: an archive is not what it should be; packages before it in the report's order were added.
    """
    asked = [parse_requirement(spec) for spec in specs]
    market = _Market(sources, store, list(locked))
    market.check_names(asked)
    chosen = resolve(
        asked, market.releases, inkev_version=__version__, preferred=market.preferred(asked), pre_releases=pre_releases
    )
    market.check_lock(chosen.values())
    names = {requirement.name for requirement in asked}
    items = [market.keep(release, asked=release.name in names, dry_run=dry_run) for release in chosen.values()]
    return InstallReport(packages=tuple(items), dry_run=dry_run)


def install_locked(
    locked: Iterable[LockedPackage], sources: Sequence[Source], store: Store, *, dry_run: bool = False
) -> InstallReport:
    """Return the report of an install of exactly what a lock pins, yanked or not; nothing is resolved.

    Raises:
        UserError: `no-such-version`: no source has one of them; nothing was changed.
        TrustError: `digest-mismatch`: what is installed or offered under its name and version has other bytes.
    """
    market = _Market(sources, store, list(locked))
    chosen = [market.pinned(package) for package in sorted(market.locked)]
    items = [market.keep(release, asked=True, dry_run=dry_run) for release in chosen]
    return InstallReport(packages=tuple(items), dry_run=dry_run)


def uninstall(spec: str, store: Store, in_use: InUse, *, dry_run: bool = False) -> Installed:
    """Return the package that was taken out of the store, or with `dry_run` would be.

    Args:
        spec: `firewall`, or `firewall==1.2` where several versions are installed.
        store: where it is.
        in_use: whether a graph runs the package of a digest.
        dry_run: decide only.

    Raises:
        UserError: `package-not-installed`, `which-version`.
        ConflictError: `package-in-use`, `package-required`; it stays.
    """
    package = _the_one(parse_requirement(spec), store)
    dependant = _dependant(package, store)
    if dependant is not None:
        raise ConflictError(
            "package-required", f"{dependant} requires {package}", hint=f"uninstall {dependant.name} first"
        )
    refuse_running(package, in_use)
    if not dry_run:
        store.remove(package, in_use)
    return package


def search(text: str, sources: Sequence[Source]) -> list[Release]:
    """Return the newest release of each package that matches, by name; of one package the first source's."""
    found: dict[str, Release] = {}
    for source in sources:
        for release in source.search(text):
            found.setdefault(release.name, release)
    return [found[name] for name in sorted(found)]


@dataclass(slots=True)
class _Market:
    """What the store and the sources offer, the store first."""

    sources: Sequence[Source]
    store: Store
    locked: list[LockedPackage]
    origins: dict[tuple[str, str], Source] = field(default_factory=dict)

    def releases(self, name: PackageName) -> list[Release]:
        """Return the releases of a package, each version once."""
        found = [describe(each.manifest, each.digest) for each in self.store.installed() if each.name == name]
        versions = {parse_version(release.version) for release in found}
        for source in self.sources:
            for release in source.versions(name):
                if parse_version(release.version) not in versions:
                    versions.add(parse_version(release.version))
                    self.origins[release.name, release.version] = source
                    found.append(release)
        return found

    def check_names(self, asked: Sequence[Requirement]) -> None:
        """Raise for a package that nobody has, and offer the nearest that somebody has."""
        for requirement in asked:
            if self.releases(requirement.name):
                continue
            known = {each.name for each in self.store.installed()}
            known.update(release.name for source in self.sources for release in source.search(""))
            raise UserError(
                "no-such-package",
                f"there is no package {requirement.name}",
                why=f"not in {', '.join(source.location for source in self.sources)}"
                if self.sources
                else "no source is known",
                hint=did_you_mean(requirement.name, known)
                or "inkev search finds packages; --source names another source",
            )

    def preferred(self, asked: Sequence[Requirement]) -> dict[PackageName, str]:
        """Return the versions to choose where they will do: installed ones of what nobody asked for, and the lock's."""
        names = {requirement.name for requirement in asked}
        installed = {each.name: each.version for each in self.store.installed() if each.name not in names}
        return installed | preferences(self.locked)

    def check_lock(self, chosen: Iterable[Release]) -> None:
        """Raise where a locked version now has other bytes."""
        pinned = digests(self.locked)
        for release in chosen:
            wanted = pinned.get((release.name, release.version), release.digest)
            if wanted != release.digest:
                raise TrustError(
                    "digest-mismatch",
                    f"{release.name} {release.version} is not what inkev.lock pins",
                    why=f"its SHA-256 is {release.digest}, not {wanted}",
                )

    def pinned(self, package: LockedPackage) -> Release:
        """Return the release of exactly these bytes, from the store or the first source that has them."""
        held = self.store.find(package.name, package.version)
        if held is not None:
            release = describe(held.manifest, held.digest)
            self.check_lock([release])
            return release
        listed = [
            (source, release)
            for source in self.sources
            for release in source.versions(package.name)
            if release.version == package.version
        ]
        for source, release in listed:
            if release.digest == package.digest:
                self.origins[release.name, release.version] = source
                return release
        self.check_lock(release for _, release in listed)
        raise UserError(
            "no-such-version",
            f"nobody has {package.name} {package.version}, which the lock pins",
            why=f"not in {', '.join(source.location for source in self.sources)}"
            if self.sources
            else "no source is known",
            hint="name the source that has it: --source DIR",
        )

    def keep(self, release: Release, *, asked: bool, dry_run: bool) -> InstallItem:
        """Make sure of a release in the store."""
        source = self.origins.get((release.name, release.version))
        installed = None if source else self.store.find(release.name, release.version)
        if source is not None and not dry_run:
            installed = self.store.add(source.fetch(release.name, release.version), release)
        return InstallItem(
            name=release.name,
            version=release.version,
            digest=release.digest,
            source=source.location if source else "",
            new=source is not None,
            asked=asked,
            permissions=installed.manifest.permissions if installed else None,
        )


def _the_one(wanted: Requirement, store: Store) -> Installed:
    found = [each for each in store.installed() if each.name == wanted.name]
    fitting = [each for each in found if wanted.specifier.contains(parse_version(each.version), prereleases=True)]
    if len(fitting) == 1:
        return fitting[0]
    versions = ", ".join(each.version for each in found)
    if fitting:
        raise UserError(
            "which-version",
            f"several versions of {wanted.name} are installed",
            why=versions,
            hint=f"name one as {wanted.name}=={fitting[-1].version}",
        )
    names = [each.name for each in store.installed()]
    raise UserError(
        "package-not-installed",
        f"{wanted} is not installed",
        why=versions and f"installed is {versions}",
        hint=did_you_mean(wanted.name, names) or "inkev list shows what is",
    )


def _dependant(package: Installed, store: Store) -> Installed | None:
    """Return an installed package that only this one satisfies."""
    others = [each for each in store.installed() if each.digest != package.digest]
    for other in others:
        try:
            versions = other.manifest.requires.packages.get(package.name)
        except TrustError:
            continue  # its record is damaged: it is of no use with or without this package
        if versions is None or not _fits(package, versions):
            continue
        if not any(each.name == package.name and _fits(each, versions) for each in others):
            return other
    return None


def _fits(package: Installed, versions: str) -> bool:
    return parse_specifier(versions).contains(parse_version(package.version), prereleases=True)
