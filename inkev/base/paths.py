"""Where a host keeps its state; decided once from --root, INKEV_ROOT or the user's folders."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

BPFFS = Path("/sys/fs/bpf")


@dataclass(frozen=True, slots=True)
class Root:
    """All of one host's state: a folder, and a bpffs folder of its own.

    Two roots on one machine share nothing, so tests and demos cannot meet the machine's own graphs.
    """

    folder: Path
    bpffs: Path

    @property
    def store(self) -> Path:
        """Installed packages, content addressed."""
        return self.folder / "store"

    @property
    def cache(self) -> Path:
        """Linked objects by digest; may be deleted at any time."""
        return self.folder / "cache"

    @property
    def state(self) -> Path:
        """Recent specs, verifier refusals, logs."""
        return self.folder / "state"

    @property
    def lock(self) -> Path:
        """The writers' lock."""
        return self.folder / "lock"


def find_root(given: str | Path | None = None) -> Root:
    """Return the root that --root, else INKEV_ROOT, else the machine's default names."""
    chosen = given or os.environ.get("INKEV_ROOT")
    if chosen:
        folder = Path(chosen).absolute()
        token = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        return Root(folder, BPFFS / f"inkev-{token}")
    if os.geteuid() == 0:
        return Root(Path("/var/lib/inkev"), BPFFS / "inkev")
    from platformdirs import user_data_path

    return Root(user_data_path("inkev"), BPFFS / f"inkev-{os.geteuid()}")
