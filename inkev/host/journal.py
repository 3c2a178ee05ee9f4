"""What a command is about to do, on disk while it does it: so that the next one can finish or undo it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec

from inkev.host.actions import Plan


class Journal:
    """One file a graph in a root's state folder; there only while a plan runs or after a kill."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = False

    def write(self, plan: Plan) -> None:
        """Put the plan on disk, whole or not at all.

        The kernel's state does not outlive a power cut either, so nothing is synced.
        """
        if not self._made:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._made = True
        target = str(self._path(plan.graph))
        fd = os.open(f"{target}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            raw = msgspec.json.encode(plan)
            if os.write(fd, raw) != len(raw):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{target}.new")
        finally:
            os.close(fd)
        os.rename(f"{target}.new", target)  # noqa: PTH104 - a pathlib object costs as much as the call

    def find(self, graph: str) -> Plan | None:
        """Return the plan that a killed command left, or None."""
        try:
            return msgspec.json.decode(self._path(graph).read_bytes(), type=Plan)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            return None  # another version's: what it staged is cleared as leftovers

    def clear(self, graph: str) -> None:
        """Forget the plan: it is done or undone."""
        self._path(graph).unlink(missing_ok=True)

    def _path(self, graph: str) -> Path:
        return self._folder / f"journal-{graph}.json"
