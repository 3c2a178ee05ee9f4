"""What this kernel's verifier refused before, by digest and kernel release, so that no plan tries it again."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

LADDER = ("light-v3", "full-v3", "light-v2")
"""Pipelines in the order they are tried; past the last the segment is split."""

LADDER_CODES = frozenset({"verifier-refused", "linker-died", "link-failed", "stack-too-deep"})
"""What another pipeline may mend."""

TOO_MANY_MAPS = "number of maps per program"
"""What the verifier says where only a split mends it."""


class Refusals(msgspec.Struct, kw_only=True):
    """The file `refusals.json` in a root's state folder; it may be deleted at any time."""

    kernel: str = ""
    rungs: dict[str, int] = {}
    """Digest of the segment linked by the first pipeline, to how many pipelines were refused."""

    def pipeline(self, digest: str) -> str | None:
        """Return the first pipeline that was not refused, or None where all were."""
        refused = self.rungs.get(digest, 0)
        return LADDER[refused] if refused < len(LADDER) else None


def read_refusals(folder: Path) -> Refusals:
    """Return what the running kernel is known to refuse; nothing where the file is missing or another kernel's."""
    release = os.uname().release
    try:
        found = msgspec.json.decode((folder / "refusals.json").read_bytes(), type=Refusals)
    except (OSError, msgspec.DecodeError):
        return Refusals(kernel=release)
    return found if found.kernel == release else Refusals(kernel=release)


def write_refusals(folder: Path, refusals: Refusals) -> None:
    """Replace the file as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / "refusals.json.new"
    staged.write_bytes(msgspec.json.encode(refusals))
    staged.replace(folder / "refusals.json")
