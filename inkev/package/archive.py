"""The archive of a package, `NAME-VERSION.nfp`: a tar of its files in one zstd frame.

Byte-identical when rebuilt from the same files by the same inkev. The reader trusts nothing: every size is bounded
while it is read, every name is checked before a file is made. What the files say is `inkev.package.reading`'s to judge.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import zstandard

from inkev.base import limits
from inkev.base.errors import FaultList, TrustError, UserError
from inkev.base.ids import Digest
from inkev.package import tar
from inkev.package.filenames import folded, unsafe_reason
from inkev.package.manifest import Manifest
from inkev.package.reading import MANIFEST, read_package

SUFFIX = ".nfp"
_LEVEL = 19
_WINDOW_BYTES = 1 << 24
"""Above what level 19 needs; bounds what a hostile frame may make the reader allocate."""

_STEP_BYTES = 256
"""Compressed bytes taken at a time: a block of 4 bytes may unpack to 128 KiB, so a step unpacks to 8 MiB at most."""

_TOP_FILES = (
    "nf.toml",
    "graph.toml",
    "control.py",
    "README*",
    "CHANGELOG*",
    "LICENSE*",
    "COPYING*",
    "NOTICE*",
    "*.c",
    "*.h",
)
_FOLDERS = ("src", "include", "tests")
_BUILT = ("build/*.bc", "build/*.json")
_IGNORED = ("__pycache__", "*.pyc", "*.o", "*~", "*.orig", "*.rej", "*.swp")


def archive_name(manifest: Manifest) -> str:
    """Return the file name of the package's archive."""
    return f"{manifest.package.name}-{manifest.package.version}{SUFFIX}"


def write_archive(folder: Path, target: Path) -> Path:
    """Write the package in `folder` to `target/NAME-VERSION.nfp` and return its path; a file of that name is replaced.

    Raises:
        Faults: the manifest is wrong, or a file may not be in an archive. Nothing is written.
    """
    manifest, folder = read_package(folder)
    raw = _pack(folder, package_files(folder, manifest))
    target.mkdir(parents=True, exist_ok=True)
    path = target / archive_name(manifest)
    staged = target / f".{path.name}.{os.getpid()}"
    try:
        with staged.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    return path


def package_files(folder: Path, manifest: Manifest) -> list[str]:
    """Return the names of the files that belong into the archive, sorted; hidden files, caches and the like do not.

    Raises:
        Faults: a link, a special file, a file too large, or a name that is not the same file everywhere.
    """
    found = {path for pattern in (*_TOP_FILES, *_BUILT) for path in folder.glob(pattern) if not path.is_dir()}
    for name in {*_FOLDERS, *(include for program in manifest.programs.values() for include in program.includes)}:
        found.update(path for path in (folder / name).rglob("*") if path.is_symlink() or not path.is_dir())
    found.update(folder / program.file for program in manifest.programs.values())
    names = sorted(path.relative_to(folder).as_posix() for path in found if not _is_ignored(path.relative_to(folder)))
    _check_files(folder, names)
    return names


def read_archive(source: Path | BinaryIO, into: Path) -> Digest:
    """Extract an archive into an empty folder and return the SHA-256 of the archive's bytes.

    Files are 0644, folders 0755, whatever the archive says. Bounded in bytes, entries and memory.

    Raises:
        TrustError: `bad-archive`: what is wrong; `into` may then hold some of its files and is the caller's to delete.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return read_archive(file, into)
    hashed = _Hashed(source)
    try:
        _extract(_Bounded(hashed), into)
    except (tar.BadTarError, zstandard.ZstdError) as error:
        raise TrustError("bad-archive", "the archive is not one that inkev build writes", why=str(error),
                         hint="fetch it again; if it stays so, tell its author") from None  # fmt: skip
    return Digest(hashed.digest.hexdigest())


def digest_file(path: Path) -> Digest:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def _is_ignored(name: Path) -> bool:
    return any(part.startswith(".") or any(Path(part).match(pattern) for pattern in _IGNORED) for part in name.parts)


def _check_files(folder: Path, names: list[str]) -> None:
    faults = FaultList()
    seen: dict[str, str] = {}
    for name in names:
        reason = unsafe_reason(name) or _unfit_reason(folder / name)
        if reason:
            faults.add("unfit-file", f"{name!r} cannot be in an archive", where=str(folder / name), why=f"it {reason}")
        other = seen.setdefault(folded(name), name)
        if other != name:
            faults.add("unfit-file", f"{name!r} and {other!r} are one file on some systems", where=str(folder / name))
    if len(names) > limits.ARCHIVE_ENTRIES:
        faults.add(
            "too-many-files", f"{len(names)} files; an archive has at most {limits.ARCHIVE_ENTRIES}", where=str(folder)
        )
    faults.check()


def _unfit_reason(path: Path) -> str:
    if path.is_symlink():
        return "is a symbolic link"
    if not path.is_file():
        return "is not a regular file"
    if path.stat().st_size > limits.ARCHIVE_ENTRY_BYTES:
        return f"is larger than {limits.ARCHIVE_ENTRY_BYTES} bytes"
    return ""


def _pack(folder: Path, names: list[str]) -> bytes:
    packed = bytearray()
    for name in names:
        raw = (folder / name).read_bytes()
        packed += tar.header(name, len(raw)) + raw + tar.padding(len(raw))
        if len(packed) > limits.ARCHIVE_BYTES:
            raise UserError(
                "package-too-big", f"the files take more than {limits.ARCHIVE_BYTES} bytes", where=str(folder)
            )
    packed += tar.trailer()
    # The size is known to the compressor, which then sets up no more than it needs, and is not written.
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=False).compress(packed)


def _extract(stream: _Bounded, into: Path) -> None:
    names = _Names()
    for entry in tar.iter_entries(stream):
        names.admit(entry.name)
        if entry.size > limits.ARCHIVE_ENTRY_BYTES:
            raise tar.BadTarError(f"{entry.name!r} is larger than {limits.ARCHIVE_ENTRY_BYTES} bytes")
        _write_file(into / entry.name, entry.chunks())
    if MANIFEST not in names.files.values():
        raise tar.BadTarError(f"there is no {MANIFEST} in it")
    stream.expect_end()


def _write_file(path: Path, chunks: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o644), "wb") as file:
        for chunk in chunks:
            file.write(chunk)


@dataclass(slots=True)
class _Names:
    """The names of an archive so far: none twice, on no file system, and none both file and folder."""

    files: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def admit(self, name: str) -> None:
        reason = unsafe_reason(name)
        if reason:
            raise tar.BadTarError(f"the name {name!r} {reason}")
        if len(self.files) >= limits.ARCHIVE_ENTRIES:
            raise tar.BadTarError(f"there are more than {limits.ARCHIVE_ENTRIES} files in it")
        key = folded(name)
        parents = {key.rsplit("/", depth)[0] for depth in range(1, key.count("/") + 1)}
        if key in self.files or key in self.folders or parents & self.files.keys():
            raise tar.BadTarError(f"{name!r} stands twice")
        self.files[key] = name
        self.folders |= parents


class _Hashed:
    """Compressed bytes on their way in: counted and hashed."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._left = limits.ARCHIVE_BYTES
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        chunk = self._source.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise tar.BadTarError(f"it is larger than {limits.ARCHIVE_BYTES} bytes")
        self.digest.update(chunk)
        return chunk


class _Bounded:
    """The tar's bytes: decompressed as they are read, never more than the limit, from exactly one frame.

    Counted here because a frame that states its size makes zstandard's own limit void.
    """

    def __init__(self, source: _Hashed) -> None:
        self._source = source
        self._frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj()
        self._ready = memoryview(b"")
        self._left = limits.ARCHIVE_BYTES

    def read(self, size: int, /) -> bytes:
        while not self._ready and not self._frame.eof:
            self._fill()
        chunk, self._ready = self._ready[:size], self._ready[size:]
        return bytes(chunk)

    def expect_end(self) -> None:
        if self.read(1) or self._frame.unused_data or self._source.read(1):
            raise tar.BadTarError("there is more behind its end")

    def _fill(self) -> None:
        chunk = self._source.read(_STEP_BYTES)
        if not chunk:
            raise tar.BadTarError("it ends early")
        self._ready = memoryview(self._frame.decompress(chunk))
        self._left -= len(self._ready)
        if self._left < 0:
            raise tar.BadTarError(f"it unpacks to more than {limits.ARCHIVE_BYTES} bytes")
