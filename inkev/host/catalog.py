"""The installed packages that graphs are made of, read once: manifest, layouts, bitcode.

Everything is cached by archive digest, which names its content, so nothing here grows stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from inkev.base.errors import TrustError, UserError
from inkev.graph.drawing import Function
from inkev.graph.model import ProgramType
from inkev.graph.spec import Locked
from inkev.graph.validate import function_of
from inkev.package.foreign import Entries, initial_entries, sized
from inkev.package.layout import Layout, MapLayout
from inkev.package.manifest import Manifest
from inkev.package.requirement import Requirement, parse_requirement, parse_version
from inkev.package.suggest import did_you_mean


class InstalledPackage(Protocol):
    """A package in the store."""

    @property
    def digest(self) -> str:
        """SHA-256 of its archive."""
        ...

    @property
    def manifest(self) -> Manifest:
        """Its nf.toml."""
        ...

    @property
    def folder(self) -> Path:
        """Its unpacked files."""
        ...


class Shelf(Protocol):
    """What graphs need of the store."""

    def installed(self) -> Iterable[InstalledPackage]:
        """Return every installed package."""
        ...

    def find(self, name: str, version: str) -> InstalledPackage | None:
        """Return one package, or None."""
        ...


@dataclass(slots=True)
class Part:
    """One installed package as instances use it."""

    locked: Locked
    manifest: Manifest
    folder: Path
    layouts: dict[tuple[str, str], Layout]
    """By program and hook type."""
    function: Function
    _bitcode: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def bitcode(self, program: str, kind: ProgramType) -> bytes:
        """Return the program's bitcode for a hook type."""
        found = self._bitcode.get((program, kind))
        if found is None:
            found = self._bitcode[program, kind] = (self.folder / "build" / f"{program}.{kind}.bc").read_bytes()
        return found

    def serving(self, port: int) -> str:
        """Return the name of the program that a packet entering by a port runs."""
        chosen = list(self.manifest.ports.values())[port].program if self.manifest.ports else ""
        return chosen or next(iter(self.manifest.programs))

    def maps(self) -> dict[str, MapLayout]:
        """Return every map of the package, whichever of its programs uses it."""
        return {found.name: found for layout in self.layouts.values() for found in layout.maps}

    def initial(self) -> dict[str, Entries]:
        """Return what maps of the package hold when they are made, by map."""
        return {
            name: entries
            for program in self.manifest.programs.values()
            for name, entries in initial_entries(program).items()
        }


class Catalog:
    """Finds and remembers parts."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._parts: dict[str, Part] = {}
        self._satisfied: set[tuple[str, Locked]] = set()
        self._chosen: dict[tuple[str, ...], Locked] = {}
        """The last choice, by requirement and everything that was installed."""

    def choose(self, requirement: str, locked: Locked | None = None) -> Locked:
        """Return the package that a requirement names: the locked one while it still satisfies it, else the newest.

        Raises:
            UserError: `bad-requirement`, `package-not-installed`.
        """
        if locked is not None and (requirement, locked) in self._satisfied and locked.digest in self._parts:
            return locked
        wanted = parse_requirement(requirement)
        if locked is not None and locked.package == wanted.name:
            kept = locked.digest in self._parts or self._matching(locked) is not None
            if kept and wanted.specifier.contains(parse_version(locked.version), prereleases=True):
                self._satisfied.add((requirement, locked))
                return locked
        installed = list(self._shelf.installed())
        known = (requirement, *(package.digest for package in installed))
        if known not in self._chosen:
            self._chosen = {known: self._newest(wanted, installed)}
        return self._chosen[known]

    def _newest(self, wanted: Requirement, installed: Iterable[InstalledPackage]) -> Locked:
        found = [package for package in installed if package.manifest.package.name == wanted.name]
        versions = {parse_version(package.manifest.package.version): package for package in found}
        fitting = list(wanted.specifier.filter(versions)) or list(wanted.specifier.filter(versions, prereleases=True))
        if not fitting:
            raise self._missing(str(wanted), [str(version) for version in sorted(versions)])
        return self._lock(versions[max(fitting)])

    def part(self, locked: Locked) -> Part:
        """Return what a lock pins.

        Raises:
            UserError: `package-not-installed`: it was removed from the store since.
        """
        if locked.digest not in self._parts:
            package = self._matching(locked)
            if package is None:
                raise self._missing(f"{locked.package}=={locked.version}", [])
            self._parts[locked.digest] = _read(locked, package)
        return self._parts[locked.digest]

    def _matching(self, locked: Locked) -> InstalledPackage | None:
        package = self._shelf.find(locked.package, locked.version)
        return package if package is not None and package.digest == locked.digest else None

    def _lock(self, package: InstalledPackage) -> Locked:
        about = package.manifest.package
        return Locked(package=about.name, version=about.version, digest=package.digest)

    def _missing(self, requirement: str, versions: list[str]) -> UserError:
        names = {package.manifest.package.name for package in self._shelf.installed()}
        why = f"installed is {', '.join(versions)}" if versions else did_you_mean(requirement, names)
        return UserError(
            "package-not-installed",
            f"no installed package satisfies {requirement}",
            why=why,
            hint=f"run inkev install '{requirement}'",
        )


def _read(locked: Locked, package: InstalledPackage) -> Part:
    manifest, folder = package.manifest, package.folder
    layouts: dict[tuple[str, str], Layout] = {
        (name, kind): sized(_layout(folder / "build" / f"{name}.{kind}.json", locked), program)
        for name, program in manifest.programs.items()
        for kind in program.hooks
    }
    return Part(locked, manifest, folder, layouts, function_of(manifest, _count_maps(layouts)))


def _layout(path: Path, locked: Locked) -> Layout:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Layout)
    except OSError as error:
        raise UserError(
            "package-not-built",
            f"{locked.package} {locked.version} carries no {path.name}",
            where=str(path),
            why=error.strerror or "",
            hint="build it with `inkev build`",
        ) from error
    except msgspec.DecodeError as error:
        raise TrustError(
            "bad-store",
            f"the description of {locked.package} {locked.version} is damaged",
            where=str(path),
            why=str(error),
            hint=f"uninstall {locked.package}=={locked.version} and install it again",
        ) from error


def _count_maps(layouts: Mapping[tuple[str, str], Layout]) -> dict[str, int]:
    kinds = {kind for _, kind in layouts}
    return {
        kind: len(
            {found.name for (_, built_for), layout in layouts.items() if built_for == kind for found in layout.maps}
        )
        for kind in kinds
    }
