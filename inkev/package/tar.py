"""The tar that an archive holds: regular files only, POSIX.1-2001 (pax) headers, nothing of the machine it was made on.

The reader accepts what the writer writes and nothing else: a tar that needs more is not a package.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK_BYTES = 512
_PAX_HEADER_BYTES = 4096
_REGULAR, _PAX = b"0", b"x"
_END = bytes(BLOCK_BYTES)

_REFUSED = {
    b"1": "is a hard link", b"2": "is a symbolic link", b"3": "is a character device", b"4": "is a block device",
    b"5": "is a folder of its own", b"6": "is a pipe", b"g": "is a global header", b"S": "is a sparse file",
}  # fmt: skip


class BadTarError(ValueError):
    """Why the bytes are not such a tar."""


class Reader(Protocol):
    """Where bytes come from; fewer than asked for only at the end."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One file; its bytes must be read before the next entry is asked for."""

    name: str
    size: int
    stream: Reader

    def chunks(self) -> Iterator[bytes]:
        """Yield the file's bytes.

        Raises:
            BadTarError: the tar ends within them.
        """
        left = self.size
        while left:
            chunk = self.stream.read(min(left, 1 << 16))
            if not chunk:
                raise BadTarError(f"it ends within {self.name}")
            left -= len(chunk)
            yield chunk


def header(name: str, size: int) -> bytes:
    """Return the header blocks of one regular file: mode 0644, owner 0, time 0."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def padding(size: int) -> bytes:
    """Return the zeros between the end of a file of `size` bytes and the next header."""
    return bytes(-size % BLOCK_BYTES)


def trailer() -> bytes:
    """Return the two zero blocks that end a tar."""
    return _END * 2


def iter_entries(stream: Reader) -> Iterator[Entry]:
    """Yield the files of a tar in its order; after the last one the trailer has been read, and nothing beyond it.

    Raises:
        BadTarError: the bytes are not what `header` and `trailer` write.
    """
    while True:
        block = _read(stream, BLOCK_BYTES)
        if block == _END:
            if _read(stream, BLOCK_BYTES) != _END:
                raise BadTarError("a zero block stands between files")
            return
        name, size, kind = _parse_header(block)
        if kind == _PAX:
            path = _parse_pax(_read(stream, size), size)
            _read(stream, len(padding(size)))
            _, size, kind = _parse_header(_read(stream, BLOCK_BYTES))
            name = path
        if kind != _REGULAR:
            raise BadTarError(f"{name!r} {_REFUSED.get(kind, 'is not a regular file')}")
        yield Entry(name, size, stream)
        _read(stream, len(padding(size)))


def _read(stream: Reader, size: int) -> bytes:
    found = io.BytesIO()
    while size:
        chunk = stream.read(size)
        if not chunk:
            raise BadTarError("it ends early")
        found.write(chunk)
        size -= len(chunk)
    return found.getvalue()


def _parse_header(block: bytes) -> tuple[str, int, bytes]:
    if block[257:265] != b"ustar\x0000":
        raise BadTarError("a header is not POSIX ustar")
    if _octal(block[148:156]) != sum(block[:148]) + 8 * 0x20 + sum(block[156:]):
        raise BadTarError("a header's checksum is wrong")
    kind = block[156:157]
    size = _octal(block[124:136])
    if kind == _PAX and size > _PAX_HEADER_BYTES:
        raise BadTarError("a pax header is too large")
    prefix, name = _text(block[345:500]), _text(block[:100])
    return (f"{prefix}/{name}" if prefix else name), size, kind


def _parse_pax(raw: bytes, size: int) -> str:
    # One record, "LENGTH path=NAME\n" (POSIX.1-2001, pax, extended header).
    length, blank, record = raw.partition(b" ")
    key, equals, value = record.partition(b"=")
    if not (
        blank and equals and length.isdigit() and int(length[:8]) == size and value.endswith(b"\n") and key == b"path"
    ):
        raise BadTarError("a pax header states more than a file's name")
    return _text(value[:-1] + b"\0")


def _octal(field: bytes) -> int:
    digits = field.rstrip(b"\0 ")
    if not digits or any(digit not in b"01234567" for digit in digits):
        raise BadTarError("a header has a field that is not an octal number")
    return int(digits, 8)


def _text(field: bytes) -> str:
    raw, _, rest = field.partition(b"\0")
    if rest.strip(b"\0"):
        raise BadTarError("a name goes on behind its end")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadTarError("a name is not UTF-8") from None
