"""This host's installed packages: one folder for each archive, named by its digest, and an index of what is there.

The index is the truth; a folder that it does not name was left by a killed command, and the next change sweeps it away.
Changes hold the lock; readers take none, because the index is replaced whole.

    index.json
    packages/DIGEST/files/...       the archive's files
    packages/DIGEST/record.json     its manifest as JSON, and the digest of each file
    staging/                        what is being added or removed
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from inkev.base.errors import ConflictError, TrustError, UserError
from inkev.base.ids import Digest, PackageName
from inkev.package.archive import digest_file, read_archive
from inkev.package.manifest import Manifest
from inkev.package.reading import read_package
from inkev.package.release import Release
from inkev.package.requirement import parse_version

_PATIENCE_SECONDS = 60
"""How long a change waits for others; each takes milliseconds once its archive is there."""

InUse = Callable[[Digest], bool]
"""Whether some graph runs the package of a digest."""


class _Entry(msgspec.Struct, frozen=True, order=True):
    name: str
    version: str
    digest: Digest


class _Index(msgspec.Struct, frozen=True):
    schema: int = 1
    packages: tuple[_Entry, ...] = ()


class _Record(msgspec.Struct, frozen=True):
    manifest: Manifest
    files: dict[str, Digest]


@dataclass(frozen=True)
class Installed:
    """A package in the store."""

    name: PackageName
    version: str
    digest: Digest
    path: Path
    """Its folder in the store."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def folder(self) -> Path:
        """Its unpacked files, as they were in the archive."""
        return self.path / "files"

    @cached_property
    def record(self) -> _Record:
        """What was noted when it was added.

        Raises:
            TrustError: `bad-store`: it is gone or damaged.
        """
        path = self.path / "record.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Record)
        except (OSError, msgspec.DecodeError) as error:
            raise TrustError(
                "bad-store",
                f"the store's record of {self} cannot be read",
                where=str(path),
                why=str(error),
                hint=f"uninstall {self.name}=={self.version} and install it again",
            ) from None

    @property
    def manifest(self) -> Manifest:
        """Its nf.toml, read and judged when it was added."""
        return self.record.manifest


class Store:
    """The installed packages of one root.

    Args:
        folder: made when something is first added.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packages = folder / "packages"
        self._staging = folder / "staging"
        self._index = folder / "index.json"
        self._read: tuple[tuple[int, int], list[Installed]] = ((0, 0), [])

    def installed(self) -> list[Installed]:
        """Return every installed package by name and version, newest last."""
        try:
            status = self._index.stat()
        except FileNotFoundError:
            return []
        stamp = (status.st_mtime_ns, status.st_ino)
        if self._read[0] != stamp:
            self._read = (stamp, [self._open(entry) for entry in self._entries()])
        return list(self._read[1])

    def find(self, name: str, version: str) -> Installed | None:
        """Return one package, or None; `1.2` finds 1.2.0."""
        same_name = [package for package in self.installed() if package.name == name]
        for package in same_name:
            if package.version == version:
                return package
        wanted = parse_version(version)
        return next((package for package in same_name if parse_version(package.version) == wanted), None)

    def add(self, archive: Path, expected: Release | None = None) -> Installed:
        """Put the package of an archive into the store; one that is there already stays as it is.

        Args:
            archive: an `.nfp` file.
            expected: what it must be, in name, version and digest.

        Raises:
            TrustError: `digest-mismatch`, `wrong-package`, `bad-archive`, `version-changed`; the store is as it was.
            Faults: its manifest is wrong; the store is as it was.
        """
        with self._locked():
            staged = self._staging / uuid.uuid4().hex
            try:
                return self._add(archive, staged, expected)
            finally:
                shutil.rmtree(staged, ignore_errors=True)

    def remove(self, package: Installed, in_use: InUse) -> None:
        """Take a package out of the store.

        Raises:
            ConflictError: `package-in-use`: a graph runs it; it stays.
        """
        with self._locked():
            refuse_running(package, in_use)
            self._write_index([entry for entry in self._entries() if entry.digest != package.digest])
            self._sweep()

    def verify(self, package: Installed) -> None:
        """Raise unless the package's files are those of its archive.

        Raises:
            TrustError: `package-altered`: which file is missing, new or changed.
        """
        found = _digests(package.folder)
        wanted = package.record.files
        wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        if wrong:
            raise TrustError(
                "package-altered",
                f"{package} was changed after it was installed",
                where=str(package.folder),
                why=f"{wrong[0]} is not what was in its archive",
                hint="uninstall it and install it again",
            )

    def _add(self, archive: Path, staged: Path, expected: Release | None) -> Installed:
        digest = read_archive(archive, staged / "files")
        if expected is not None and digest != expected.digest:
            raise TrustError(
                "digest-mismatch",
                f"{archive.name} is not the archive that was resolved",
                where=str(archive),
                why=f"its SHA-256 is {digest}, not {expected.digest}",
                hint="it changed while it was fetched: try again, or take another source",
            )
        manifest, _ = read_package(staged / "files")
        entry = _Entry(manifest.package.name, manifest.package.version, digest)
        if expected is not None and (entry.name, entry.version) != (expected.name, expected.version):
            raise TrustError(
                "wrong-package",
                f"{archive.name} is {entry.name} {entry.version}",
                where=str(archive),
                why=f"its source lists it as {expected.name} {expected.version}",
            )
        entries = self._entries()
        if entry in entries:
            return self._open(entry)
        _refuse_other_bytes(entry, entries)
        record = _Record(manifest, _digests(staged / "files"))
        (staged / "record.json").write_bytes(msgspec.json.encode(record))
        _sync_tree(staged)
        staged.rename(self._packages / digest)
        _sync(self._packages)
        self._write_index([*entries, entry])
        return self._open(entry)

    def _open(self, entry: _Entry) -> Installed:
        return Installed(PackageName(entry.name), entry.version, entry.digest, self._packages / entry.digest)

    def _entries(self) -> list[_Entry]:
        try:
            index = msgspec.json.decode(self._index.read_bytes(), type=_Index)
        except FileNotFoundError:
            return []
        except msgspec.DecodeError as error:
            raise TrustError(
                "bad-store",
                "the store's index cannot be read",
                where=str(self._index),
                why=str(error),
                hint="move the store away and install again",
            ) from None
        return list(index.packages)

    def _write_index(self, entries: list[_Entry]) -> None:
        ordered = sorted(entries, key=lambda entry: (entry.name, parse_version(entry.version)))
        staged = self._staging / uuid.uuid4().hex
        staged.write_bytes(msgspec.json.format(msgspec.json.encode(_Index(packages=tuple(ordered)))))
        _sync(staged)
        staged.replace(self._index)
        _sync(self._folder)

    def _sweep(self) -> None:
        """Delete what a killed command left: staged folders, and packages that the index does not name."""
        named = {entry.digest for entry in self._entries()}
        for path in self._packages.iterdir():
            if path.name not in named:
                path.rename(self._staging / uuid.uuid4().hex)
        for path in self._staging.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        try:
            for folder in (self._packages, self._staging):
                folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / "lock")
            lock.acquire(timeout=_PATIENCE_SECONDS)
        except Timeout:
            raise ConflictError(
                "store-busy",
                "another inkev is changing the store",
                where=str(self._folder),
                hint="try again when it is done",
            ) from None
        except OSError as error:
            raise UserError(
                "store-not-writable",
                f"cannot write to {self._folder}",
                why=error.strerror or "",
                hint="run it as root, or name another root by --root",
            ) from None
        try:
            self._sweep()
            yield
        finally:
            lock.release()


def refuse_running(package: Installed, in_use: InUse) -> None:
    """Raise where a graph runs the package.

    Raises:
        ConflictError: `package-in-use`.
    """
    if in_use(package.digest):
        raise ConflictError(
            "package-in-use",
            f"{package} is running",
            why="a graph has an instance of it",
            hint="remove or replace the instance, or unstitch the graph, first",
        )


def _refuse_other_bytes(entry: _Entry, entries: list[_Entry]) -> None:
    for other in entries:
        if other.name == entry.name and parse_version(other.version) == parse_version(entry.version):
            raise TrustError(
                "version-changed",
                f"{entry.name} {other.version} is installed with other contents",
                why=f"a version never changes, but {other.digest[:12]} became {entry.digest[:12]}",
                hint=f"where this is meant, inkev uninstall {entry.name}=={other.version} first",
            )


def _digests(folder: Path) -> dict[str, Digest]:
    files = (path for path in sorted(folder.rglob("*")) if not path.is_dir())
    return {path.relative_to(folder).as_posix(): digest_file(path) for path in files}


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
