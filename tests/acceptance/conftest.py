"""A site: a graph that runs between two hosts under traffic, and the real `inkev` command over its root."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inkev.base.paths import Root, find_root
from inkev.bpf.maps import Map
from inkev.bpf.program import Program
from inkev.datapath.kernel import LinuxKernel
from inkev.package.archive import write_archive
from inkev.registry_client.folder import FolderSource
from inkev.toolchain.includes import find_include_folder
from tests.host.kit import Road, Shelved, build, packages
from tests.lab import Lab
from tests.toolchain.sources import BIG_STACK

INKEV = Path(sys.executable).parent / "inkev"
CHAINS = '"wan -> in:tally:out -> outside:gate:inside <-> lan", "gate:outside -> wan"'
FUNCTIONS = '[nf.gate]\npackage = "gate"\n[nf.tally]\npackage = "tally==1.0"\n'
POINTS = 'screening = "wan -> tally"'
ONE_WAY = 'in = { direction = "in" }\nout = { direction = "out" }'
NEEDY = '[requires.packages]\ntally = ">=3"\n'


@dataclass(frozen=True)
class Answer:
    """What one run of the command printed."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


class Site:
    """client -- edge -- server, with `tally` and `gate` at the edge, and everything that a bad command needs at hand.

    Args:
        road: the hosts.
        folder: where graph files, packages and the root are made.
    """

    def __init__(self, road: Road, folder: Path) -> None:
        self.road = road
        self.folder = folder
        self.root: Root = find_root(folder / "root")
        self.source = folder / "source"

    def inkev(
        self, *words: str, under: Sequence[str] = (), env: Mapping[str, str] | None = None, **options: Any
    ) -> Answer:
        """Run the command to its end, in the site's folder; `under` is what it is started by."""
        around = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "INKEV_ROOT": str(self.root.folder)}
        done = subprocess.run(
            [*under, str(INKEV), *words], env=around | dict(env or {}), cwd=self.folder, text=True,
            capture_output=True, check=False, timeout=60, **options,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)

    def write(self, name: str, text: str) -> str:
        """Write a file into the site's folder and return its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    def graph(self, chains: str = CHAINS, functions: str = FUNCTIONS, points: str = POINTS, more: str = "") -> str:
        """Return the text of a graph file over the site's hooks."""
        return self.road.graph(chains, functions, points) + more

    def picture(self) -> object:
        """Return all of the root's state in the kernel: the spec, and every pin with the id of what it pins.

        Maps of the running generation are where they are, or where the next command moves them before anything else.
        """
        running = LinuxKernel(self.root).observe("road")
        assert running is not None
        pins = (path for path in self.root.bpffs.rglob("*") if not path.is_dir())
        return running, sorted((re.sub(r"gen\d+/inst", "inst", str(path)), _identity(path)) for path in pins)

    def carries_traffic(self) -> bool:
        """Return whether an echo request is answered across the edge."""
        return self.road.client.ping("10.9.0.2", count=1, timeout=3.0) == 1


def _identity(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    if path.parent.name == "hooks":
        return str(path.stat().st_ino)
    kind = Program if path.name.startswith("seg_") else Map
    with kind.open(path) as held:
        return str(held.info.id)


def bulky(good: Shelved) -> Shelved:
    """Return a package whose author shipped bitcode that `inkev build` would not have made: a stack of 700 bytes."""
    for hook in ("xdp", "tc"):
        subprocess.run(
            ["clang", "-target", "bpf", "-O2", "-g", f"-DIKV_HOOK_{hook.upper()}", f"-I{find_include_folder()}",
             f"-I/usr/include/{platform.machine()}-linux-gnu", "-emit-llvm", "-x", "c", "-c", "-", "-o",
             str(good.folder / f"build/main.{hook}.bc")], input=BIG_STACK.replace(" nf(", " bulky("),
            text=True, check=True,
        )  # fmt: skip
    return good


def garbled(good: Shelved) -> Shelved:
    """Return a package whose author shipped damaged bitcode."""
    for bitcode in (good.folder / "build").glob("*.bc"):
        raw = bytearray(bitcode.read_bytes())
        for place in range(40, len(raw), 97):
            raw[place] ^= 0x10
        bitcode.write_bytes(raw)
    return good


def publish(source: Path, shelf: Sequence[Shelved]) -> None:
    """Put built packages into a folder source."""
    for package in shelf:
        FolderSource(source).publish(write_archive(package.folder, source.parent / "archives"))


@pytest.fixture(scope="module")
def shelf() -> list[Shelved]:
    """The packages of a site's source."""
    passing = "#include <inkev/nf.h>\nIKV_NF int {name}(struct ikv_packet *pkt) {{ return ikv_forward(pkt, 1); }}\n"
    return [
        *packages(),
        build("needy", "1.0", ONE_WAY, passing.format(name="needy"), NEEDY),
        bulky(build("bulky", "1.0", ONE_WAY, passing.format(name="bulky"))),
        garbled(build("garbled", "1.0", ONE_WAY, passing.format(name="garbled"))),
    ]


@pytest.fixture(scope="module")
def site(shelf: list[Shelved]) -> Iterator[Site]:
    """A site whose graph runs; its root, pins and hosts are gone afterwards."""
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="ikvt-") as folder:
        Path(folder).chmod(0o755)  # for what is tried without privileges
        made = Site(Road(lab), Path(folder))
        publish(made.source, shelf)
        made.write("root/config.toml", f'sources = ["{made.source}"]\n')
        made.write("road.toml", made.graph())
        try:
            installed = made.inkev("install", "tally==1.0", "gate", "stuck", "bulky", "garbled")
            assert installed.status == 0, installed.err
            installed = made.inkev("install", "tally==2.0")
            assert installed.status == 0, installed.err
            stitched = made.inkev("stitch", "road.toml")
            assert stitched.status == 0, stitched.err
            yield made
        finally:
            made.inkev("unstitch", "road")
            shutil.rmtree(made.root.bpffs, ignore_errors=True)
