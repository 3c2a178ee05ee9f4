"""A package source that is a folder: archives, and an index file for each package. Authors publish, hosts read.

    index/NAME.json         the releases of one package
    packages/NAME-VERSION.nfp

A release is there once the index names it; the archive is written before.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from inkev.base.errors import ConflictError, TrustError, UserError
from inkev.base.ids import is_name
from inkev.package.archive import SUFFIX, digest_file, read_archive
from inkev.package.reading import read_package
from inkev.package.release import Release, describe
from inkev.package.requirement import parse_version


class _Index(msgspec.Struct, frozen=True):
    schema: int = 1
    releases: tuple[Release, ...] = ()


class FolderSource:
    """One folder; made by the first publishing.

    Args:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def location(self) -> str:
        """The folder's path."""
        return str(self._folder)

    def versions(self, name: str) -> list[Release]:
        """Return every release of a package, oldest first; none where there is no such package.

        Raises:
            UserError: `no-such-source`, `bad-index`.
        """
        self._check_there()
        return list(self._read(name).releases)

    def search(self, text: str) -> list[Release]:
        """Return the newest release of each package whose name, summary or keywords hold the text, by name."""
        self._check_there()
        names = sorted(path.stem for path in (self._folder / "index").glob("*.json") if is_name(path.stem))
        newest = [release for release in map(self._newest, names) if release is not None]
        wanted = text.casefold()
        return [each for each in newest if wanted in " ".join((each.name, each.summary, *each.keywords)).casefold()]

    def fetch(self, name: str, version: str) -> Path:
        """Return the path of a release's archive, its bytes compared with the index.

        Raises:
            TrustError: `digest-mismatch`.
            UserError: `no-such-version`, `archive-missing`.
        """
        release = self._get(name, version)
        path = self._archive(release)
        try:
            found = digest_file(path)
        except FileNotFoundError:
            raise UserError(
                "archive-missing", f"{path.name} is not in the source", where=str(path), why="the index lists it"
            ) from None
        if found != release.digest:
            raise TrustError(
                "digest-mismatch",
                f"{path.name} is not what was published",
                where=str(path),
                why=f"its SHA-256 is {found}, the index says {release.digest}",
                hint="do not use it: publish it again into a clean source, or take another source",
            )
        return path

    def publish(self, archive: Path) -> Release:
        """Add the package of an archive; publishing the same bytes again changes nothing.

        Raises:
            ConflictError: `version-exists`: that version, or an equal one such as 1.2 beside 1.2.0, has other bytes.
            TrustError: `bad-archive`.
            Faults: its manifest is wrong.
        """
        release = _inspect(archive)
        with self._locked():
            index = self._read(release.name)
            for other in index.releases:
                if parse_version(other.version) == parse_version(release.version):
                    return _same_or_refused(release, other)
            _write(self._archive(release), archive.read_bytes())
            self._write_index(release.name, [*index.releases, release])
        return release

    def yank(self, name: str, version: str, reason: str) -> Release:
        """Mark a release as taken back: only those who name it exactly still get it.

        Raises:
            UserError: `no-such-version`.
        """
        with self._locked():
            yanked = msgspec.structs.replace(self._get(name, version), yanked=reason or "no reason given")
            others = [each for each in self._read(name).releases if each.version != yanked.version]
            self._write_index(name, [*others, yanked])
        return yanked

    def _check_there(self) -> None:
        if not self._folder.is_dir():
            raise UserError("no-such-source", f"there is no folder {self._folder}", hint="inkev publish makes it")

    def _newest(self, name: str) -> Release | None:
        offered = [release for release in self._read(name).releases if not release.yanked]
        finals = [release for release in offered if not parse_version(release.version).is_prerelease]
        return next(reversed(finals or offered), None)

    def _get(self, name: str, version: str) -> Release:
        wanted = parse_version(version)
        for release in self._read(name).releases:
            if parse_version(release.version) == wanted:
                return release
        raise UserError("no-such-version", f"there is no {name} {version} in {self._folder}")

    def _archive(self, release: Release) -> Path:
        return self._folder / "packages" / f"{release.name}-{release.version}{SUFFIX}"

    def _read(self, name: str) -> _Index:
        if not is_name(name):
            raise UserError("bad-requirement", f"{name!r} is not the name of a package")
        path = self._folder / "index" / f"{name}.json"
        try:
            index = msgspec.json.decode(path.read_bytes(), type=_Index)
        except FileNotFoundError:
            return _Index()
        except msgspec.DecodeError as error:
            raise UserError(
                "bad-index", f"the index of {name} cannot be read", where=str(path), why=str(error)
            ) from None
        for release in index.releases:
            parse_version(release.version)
            if release.name != name:
                raise UserError("bad-index", f"the index of {name} lists {release.name!r}", where=str(path))
        return index

    def _write_index(self, name: str, releases: list[Release]) -> None:
        ordered = sorted(releases, key=lambda release: parse_version(release.version))
        raw = msgspec.json.format(msgspec.json.encode(_Index(releases=tuple(ordered))))
        _write(self._folder / "index" / f"{name}.json", raw)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock

        try:
            for folder in ("index", "packages"):
                (self._folder / folder).mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / "lock")
            lock.acquire()
        except OSError as error:
            raise UserError(
                "source-not-writable", f"cannot publish to {self._folder}", why=error.strerror or ""
            ) from None
        try:
            yield
        finally:
            lock.release()


def _inspect(archive: Path) -> Release:
    with tempfile.TemporaryDirectory(prefix="inkev-publish-") as folder:
        digest = read_archive(archive, Path(folder))
        manifest, _ = read_package(Path(folder))
    return describe(manifest, digest, archive.stat().st_size)


def _same_or_refused(release: Release, other: Release) -> Release:
    if release.digest == other.digest:
        return other
    raise ConflictError(
        "version-exists",
        f"{other.name} {other.version} is published already",
        why="a published version never changes",
        hint="raise the version in nf.toml",
    )


def _write(path: Path, raw: bytes) -> None:
    staged = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with staged.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
