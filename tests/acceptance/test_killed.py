"""The real command killed at any moment, and several at once: the old graph or the new one, and nothing to clear."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.acceptance.conftest import INKEV, ONE_WAY, Site
from tests.host.kit import MANIFEST
from tests.stream import Stream

pytestmark = pytest.mark.kernel
SAMPLES = 6
PASSING = "#include <inkev/nf.h>\nIKV_NF int passing(struct ikv_packet *pkt) { return ikv_forward(pkt, 1); }\n"
PATIENCE_SECONDS = 5.0
INSERT = ("insert", "tally==1.0", "--at", "screening", "--name", "second")
COMMANDS = {
    "stitch": ("stitch", "other.toml"),
    "insert": INSERT,
    "replace": ("replace", "gate", "gate", "--config", "closed=false"),
    "install": ("install", "tally==1.1"),
}


@pytest.fixture(autouse=True)
def files(site: Site) -> Iterator[None]:
    """A second file of the same graph; the first one runs before and after."""
    site.write("passing/nf.toml", MANIFEST.format(name="passing", version="1.0", ports=ONE_WAY))
    site.write("passing/main.c", PASSING)
    site.write("other.toml", site.graph('"wan <-> outside:gate:inside <-> lan"', '[nf.gate]\npackage = "gate"\n', ""))
    yield
    assert site.inkev("stitch", "road.toml").status == 0


def start(site: Site, *words: str, **env: str) -> subprocess.Popen[bytes]:
    """Start a command as the leader of a process group."""
    around = {"PATH": os.environ["PATH"], "INKEV_ROOT": str(site.root.folder), **env}
    return subprocess.Popen([INKEV, *words], env=around, cwd=site.folder, start_new_session=True,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip


def killed(site: Site, words: tuple[str, ...], after_s: float) -> None:
    """Kill a command some time after it was started; whatever it had started ends too."""
    command = start(site, *words)
    with suppress(subprocess.TimeoutExpired):
        command.wait(after_s)
    command.kill()
    command.wait()
    deadline = time.monotonic() + PATIENCE_SECONDS
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(command.pid, 0)
        pytest.fail(f"inkev {' '.join(words)} left a process")


def duration(site: Site, words: tuple[str, ...]) -> float:
    """Return how long a command takes, its objects linked before."""
    began = time.monotonic()
    assert site.inkev(*words).status == 0
    return time.monotonic() - began


def heals(site: Site) -> None:
    """The next command finds nothing in its way, and leaves nothing of the killed one."""
    assert site.inkev("stitch", "road.toml").status == 0
    [status] = site.inkev("status", "--json").document
    assert status["leftovers"] == []
    assert sorted(status["spec"]["graph"]["instances"]) == ["gate", "tally"]
    assert not site.inkev("plan", "road.toml", "--json").document["plan"]["actions"]


@pytest.mark.parametrize("what", COMMANDS)
def test_a_killed_command_costs_no_packet(site: Site, what: str) -> None:
    took, chance = duration(site, COMMANDS[what]), random.Random(7)
    heals(site)
    with Stream(site.road.client, site.road.server, "10.9.0.2", rate=2_000) as stream:
        for _ in range(SAMPLES):
            if what == "install":
                site.inkev("uninstall", "tally==1.1")
            killed(site, COMMANDS[what], chance.uniform(0.3, 1.1) * took)
    assert stream.report.lost == []
    heals(site)
    assert site.inkev("list").status == 0


def test_a_killed_unstitch_is_finished_or_undone_by_the_next_stitch(site: Site) -> None:
    took, chance = 0.4, random.Random(7)
    for _ in range(SAMPLES):
        killed(site, ("unstitch", "road"), chance.uniform(0.3, 1.1) * took)
        heals(site)
        assert site.carries_traffic()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_command_says_so_and_leaves_nothing(site: Site, number: signal.Signals) -> None:
    before, scratch = site.picture(), site.folder / f"scratch-{number}"
    scratch.mkdir()
    command = start(site, "check", "passing", TMPDIR=str(scratch))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list(scratch.iterdir()) and time.monotonic() < deadline:
        command.poll()
    command.send_signal(number)
    assert command.wait(PATIENCE_SECONDS) == 130
    assert list(scratch.iterdir()) == []
    assert not list(site.root.bpffs.parent.glob(f"inkev-check-{command.pid}-*"))
    assert site.picture() == before


def test_commands_at_the_same_time_take_turns(site: Site) -> None:
    with Stream(site.road.client, site.road.server, "10.9.0.2", rate=2_000) as stream:
        commands = [start(site, *INSERT[:-1], name) for name in ("a", "b", "c")]
        commands.append(start(site, "install", "tally==1.1"))
        assert [command.wait(60) for command in commands] == [0, 0, 0, 0]
    assert stream.report.lost == []
    [status] = site.inkev("status", "--json").document
    assert sorted(status["spec"]["graph"]["instances"]) == ["a", "b", "c", "gate", "tally"]
    assert site.carries_traffic()
