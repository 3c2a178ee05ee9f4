"""An inkev root for the whole run: first-party packages published and installed, graphs stitched and taken away."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmarks.command import INKEV
from inkev.base.paths import Root, find_root
from inkev.bpf.program import Program
from inkev.datapath.pins import GenerationPins, GraphPins, names_in
from tests.lab import Host

HERE = Path(__file__).resolve().parent
FIRST_PARTY = HERE.parent / "nfpkgs"
OWN = HERE / "nfs"


class Site:
    """One root, used through the `inkev` command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.root: Root = find_root(folder / "root")
        self.environment = {"INKEV_ROOT": str(self.root.folder)}

    def inkev(self, *words: str, host: Host | None = None) -> str:
        """Run a command, on a host or in the machine's own namespace, and return what it prints.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        environment = {**os.environ, **self.environment}
        command = [INKEV, *words]
        if host is None:
            done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
        else:
            with host.inside():
                done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"inkev {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def publish(self, *packages: Path) -> None:
        """Put packages into the source and install them."""
        for package in packages:
            self.inkev("publish", str(package), "--source", str(self.source))
            self.inkev("install", package.name, "--source", str(self.source))

    def write_graph(self, name: str, text: str) -> Path:
        """Return a graph file with this text."""
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    @contextmanager
    def stitched(self, name: str, text: str, host: Host) -> Iterator[Path]:
        """Stitch the graph on the host for the length of the block; yields its file."""
        path = self.write_graph(name, text)
        self.inkev("stitch", str(path), host=host)
        try:
            yield path
        finally:
            self.inkev("unstitch", name, host=host)

    def segment(self, graph: str, hook: str) -> Program:
        """Return the running program that a hook of the graph enters; its owner is the caller."""
        return Program.open(self._newest(graph).segment(f"hook:{hook}"))

    def segments(self, graph: str) -> int:
        """Return how many programs the graph's newest generation has."""
        return len([name for name in names_in(self._newest(graph).folder) if name.startswith("seg_")])

    def _newest(self, graph: str) -> GenerationPins:
        """Return the pins of the graph's newest generation: a graph that was only stitched has no other."""
        pins = GraphPins(self.root.bpffs / graph)
        return pins.generation(max(int(name[3:]) for name in names_in(pins.folder) if name.startswith("gen")))

    def remove(self) -> None:
        """Take everything away."""
        shutil.rmtree(self.root.bpffs, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def site() -> Site:
    """Return the run's one site, packages installed; it is gone when the run ends."""
    made = Site(Path(tempfile.mkdtemp(prefix="ikvb-")))
    atexit.register(made.remove)
    made.publish(*sorted(path.parent for path in (*FIRST_PARTY.glob("*/nf.toml"), *OWN.glob("*/nf.toml"))))
    return made


def toml_rows(rows: Iterable[Mapping[str, object]]) -> str:
    """Return table rows as TOML."""
    return "[" + ",\n".join("{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in row.items()) + " }"
                            for row in rows) + "]"
