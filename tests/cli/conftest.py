"""Packages published to a folder source, and a root of the test's own that reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inkev.base.paths import Root
from inkev.cli.main import main
from inkev.package.scaffold import scaffold
from tests.lab import Lab

NFPKGS = Path(__file__).parents[2] / "nfpkgs"


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder source with counter 1.0.0, switch 1.0.0, and guard 0.1.0 and 0.2.0 (the scaffold)."""
    work = tmp_path_factory.mktemp("source")
    for name in ("counter", "switch"):
        shutil.copytree(NFPKGS / name, work / "packages" / name, ignore=shutil.ignore_patterns("build"))
    guard = work / "packages/guard"
    scaffold("guard", guard)
    publish(work, work / "packages/counter", work / "packages/switch", guard)
    manifest = guard / "nf.toml"
    manifest.write_text(manifest.read_text().replace('version = "0.1.0"', 'version = "0.2.0"'))
    publish(work, guard)
    return work / "folder"


def publish(work: Path, *folders: Path) -> None:
    """Publish packages to the source `work/folder`."""
    for folder in folders:
        assert main(["--root", str(work / "root"), "publish", str(folder), "--source", str(work / "folder")]) == 0


class CommandLine:
    """Runs commands in a root, and keeps what they printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = ""
        self.err = ""

    def __call__(self, *words: str) -> int:
        """Run `inkev WORDS...` and return its exit status."""
        self._capsys.readouterr()
        status = main(words)
        self.out, self.err = self._capsys.readouterr()
        return status

    def json(self, *words: str) -> Any:
        """Run a command with --json; return its document, whatever the exit status."""
        self(*words, "--json")
        return json.loads(self.out)

    def fails(self, *words: str) -> dict[str, str]:
        """Run a command that must fail; return its first error, with the exit status."""
        status = self(*words, "--json")
        assert status != 0
        document = json.loads(self.out)
        assert document["exit_status"] == status
        return {**document["errors"][0], "status": status}


@pytest.fixture
def command(root: Root, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """A command line with a root of its own, empty."""
    return CommandLine(capsys)


@pytest.fixture
def configured(command: CommandLine, root: Root, source: Path) -> CommandLine:
    """A command line whose root reads the source."""
    root.folder.mkdir(parents=True)
    (root.folder / "config.toml").write_text(f'sources = ["{source}"]\n')
    return command


@pytest.fixture
def installed(configured: CommandLine) -> CommandLine:
    """A command line whose root has counter, switch and guard 0.1.0 installed."""
    assert configured("install", "counter", "switch", "guard==0.1.0") == 0, configured.err
    return configured


GRAPH = """
[graph]
name = "{name}"

[hooks]
wan = {{ interface = "wan", type = "tc-ingress", netns = "{netns}" }}

[nf.count]
package = "counter"

[edges]
chains = ["wan -> count -> host"]
stitch-points = {{ screening = "wan -> count" }}
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A client wired to a server."""
    with Lab() as found:
        client, server = found.host("client"), found.host("server")
        found.wire(client, "eth0", server, "wan", "10.77.0.1/24", "10.77.0.2/24")
        yield found


@pytest.fixture
def graph_file(lab: Lab, tmp_path: Path) -> Callable[..., Path]:
    """Writes graph files that hook the server's interface."""

    def write(name: str = "edge", text: str = GRAPH) -> Path:
        path = tmp_path / f"{name}.toml"
        path.write_text(text.format(name=name, netns=lab.hosts["server"].netns))
        return path

    return write
