"""Linked objects kept by digest in a folder that may be deleted at any time.

An entry carries a checksum of itself: what a power cut or a stray edit left is read as absent, and made anew.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from inkev.host.linking import LinkedObject

_SUM_BYTES = 32


class ObjectCache:
    """A folder of linked objects; safe with several writers, for equal names hold equal bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / f"{digest}.linked"

    def find(self, digest: str) -> LinkedObject | None:
        """Return the object, or None where it is not there or not whole."""
        try:
            raw = self._path(digest).read_bytes()
        except OSError:
            return None
        body = raw[_SUM_BYTES:]
        if hashlib.sha256(body).digest() != raw[:_SUM_BYTES]:
            return None
        try:
            found = msgspec.msgpack.decode(body, type=LinkedObject)
        except msgspec.DecodeError:
            return None
        return found if found.digest == digest else None

    def put(self, linked: LinkedObject) -> None:
        """Keep an object; a reader sees all of it or nothing. A folder that cannot be written to only costs time."""
        body = msgspec.msgpack.encode(linked)
        path = self._path(linked.digest)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        except OSError:
            return
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).digest() + body)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
