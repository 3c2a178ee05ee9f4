"""The C headers that a package may include: the `include/` of the libraries that it requires."""

from __future__ import annotations

from pathlib import Path

from inkev.base.errors import UserError
from inkev.host.store import Store
from inkev.package.manifest import Manifest
from inkev.package.reading import read_package
from inkev.package.requirement import parse_specifier, parse_version


def find_libraries(manifest: Manifest, folder: Path, store: Store) -> tuple[Path, ...]:
    """Return the include folders of the libraries that a package requires, in the manifest's order.

    A library beside the package's own folder comes before an installed one, so that both can be written together;
    what is required and is no library, or is nowhere, has none: a header that is missing is the compiler's to tell.

    Raises:
        UserError: `library-version`: a library beside the package is not of a version that it requires.
    """
    found = []
    for name, versions in manifest.requires.packages.items():
        include = _beside(folder.absolute().parent / name, name, versions) or _installed(name, versions, store)
        if include is not None:
            found.append(include)
    return tuple(found)


def _beside(folder: Path, name: str, versions: str) -> Path | None:
    if not (folder / "nf.toml").is_file():
        return None
    package = read_package(folder)[0].package
    if package.name != name or package.kind != "library":
        return None
    if not parse_specifier(versions).contains(parse_version(package.version), prereleases=True):
        raise UserError(
            "library-version",
            f"{name} {package.version} does not satisfy {versions}",
            where=f"nf.toml, requires.packages.{name}",
            why=f"{folder} stands beside the package",
            hint="change what is required, or the library's version",
        )
    return folder / "include"


def _installed(name: str, versions: str, store: Store) -> Path | None:
    wanted = parse_specifier(versions)
    fitting = [
        package
        for package in store.installed()
        if package.name == name and wanted.contains(parse_version(package.version), prereleases=True)
    ]
    newest = max(fitting, key=lambda package: parse_version(package.version), default=None)
    return newest.folder / "include" if newest and newest.manifest.package.kind == "library" else None
