"""What scripts rely on: documents of the documented shape, dry runs that change nothing, completion in a real shell."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import click
import msgspec
import pytest

from inkev.cli.tree import COMMANDS, Command, inkev
from tests.acceptance.conftest import INKEV, ONE_WAY, Site
from tests.host.kit import MANIFEST

pytestmark = pytest.mark.kernel
PASSING = "#include <inkev/nf.h>\nIKV_NF int fresh(struct ikv_packet *pkt) { return ikv_forward(pkt, 1); }\n"
DRY = {
    "new": "new sample",
    "publish": "publish fresh",
    "install": "install tally==1.1",
    "uninstall": "uninstall stuck",
    "stitch": "stitch other.toml",
    "unstitch": "unstitch road",
    "insert": "insert tally==1.0 --at screening --name second --write",
    "replace": "replace tally tally==2.0 --discard-state --write",
    "remove": "remove tally --write",
    "table": "table tally.seen add key=3 value=4",
}
"""Every command that changes something."""
SHOWN = {
    "new": "new sample --dry-run",
    "check": "check fresh",
    "build": "build fresh --output built",
    "publish": "publish fresh --dry-run",
    "install": "install tally==1.1 --dry-run",
    "uninstall": "uninstall stuck --dry-run",
    "list": "list",
    "info": "info tally",
    "search": "search",
    "plan": "plan other.toml",
    "stitch": "stitch road.toml",
    "unstitch": "unstitch road --dry-run",
    "status": "status",
    "insert": "insert tally==1.0 --at screening --name second",
    "replace": "replace second tally==1.0",
    "remove": "remove second",
    "table": "table tally.seen list",
    "completion": "completion bash",
    "doctor": "doctor",
}
"""Every command, in an order that works."""


def command(name: str) -> Command:
    """Return the command of a name."""
    found = inkev.get_command(click.Context(inkev), name)
    assert isinstance(found, Command)
    return found


def files(folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder, locks left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture(scope="module")
def prepared(site: Site) -> Site:
    """The site with another graph file and the sources of a package."""
    site.write("other.toml", site.graph('"wan <-> outside:gate:inside <-> lan"', '[nf.gate]\npackage = "gate"\n', ""))
    site.write("fresh/nf.toml", MANIFEST.format(name="fresh", version="1.0", ports=ONE_WAY))
    site.write("fresh/main.c", PASSING)
    assert site.inkev("build", "fresh").status == 0
    return site


def test_every_command_is_tried() -> None:
    assert set(SHOWN) == set(COMMANDS)
    assert set(DRY) == {name for name in COMMANDS if any(item.name == "dry_run" for item in command(name).params)}


@pytest.mark.parametrize("name", SHOWN)
def test_a_document_has_the_shape_that_the_reference_gives(prepared: Site, name: str) -> None:
    answer = prepared.inkev(*SHOWN[name].split(), "--json")
    assert (answer.status, answer.err) == (0, "")
    kind = command(name).document
    known = msgspec.json.decode(answer.out, type=kind)
    assert json.loads(msgspec.json.encode(known)) == answer.document


@pytest.mark.parametrize("name", DRY)
def test_a_dry_run_changes_nothing(prepared: Site, name: str) -> None:
    kernel, disk = prepared.picture(), files(prepared.folder)
    answer = prepared.inkev(*DRY[name].split(), "--dry-run")
    assert answer.status == 0, answer.err
    assert answer.out
    assert files(prepared.folder) == disk
    assert prepared.picture() == kernel


@pytest.mark.parametrize(("line", "expected"), [
    ("inkev un", {"unstitch", "uninstall"}),
    ("inkev insert ta", {"tally"}),
    ("inkev insert gate --at scr", {"screening"}),
    ("inkev insert gate --at road.w", {"road.wan"}),
    ("inkev remove ", {"gate", "tally"}),
    ("inkev unstitch ", {"road"}),
    ("inkev table tally.", {"tally.seen"}),
    ("inkev stitch --dis", {"--discard-state"}),
])  # fmt: skip
def test_bash_completes(prepared: Site, line: str, expected: set[str]) -> None:
    words = [*line.split(" ")]
    script = (
        'eval "$(inkev completion bash)"; complete -p inkev >/dev/null || exit 9; '
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; '
        '$(complete -p inkev | sed "s/.*-F \\([^ ]*\\).*/\\1/") inkev "${COMP_WORDS[COMP_CWORD]}" "" 2>&1; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    around = {"PATH": f"{INKEV.parent}:{os.environ['PATH']}", "INKEV_ROOT": str(prepared.root.folder)}
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", *words], env=around, cwd=prepared.folder, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == expected
