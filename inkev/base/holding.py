"""One holder of a file at a time, among processes and among threads: flock(2), waited for with patience."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inkev.base.errors import ConflictError

_PAUSE_SECONDS = 0.02


@contextmanager
def hold(path: Path, patience_seconds: float) -> Iterator[None]:
    """Hold the file, which is made where it is missing, for the length of the block; a killed holder lets it go.

    Raises:
        ConflictError: `busy`: somebody else held it all the time.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        _wait(fd, path, time.monotonic() + patience_seconds)
        yield
    finally:
        os.close(fd)


def _wait(fd: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise ConflictError(
                    "busy",
                    "another command is changing this root",
                    where=str(path),
                    hint="wait for it and try again",
                ) from None
            time.sleep(_PAUSE_SECONDS)
        else:
            return
