from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inkev.base.errors import InkevError, KernelError
from inkev.base.paths import Root
from inkev.datapath.kernel import LinuxKernel
from inkev.host.host import Host
from inkev.toolchain.linker import BitcodeLinker
from tests.host.kit import Road, Shelf, make_host, packages
from tests.lab import Lab

pytestmark = pytest.mark.kernel

CHANGING = (
    "open_graph",
    "stage",
    "share",
    "load",
    "keep",
    "set_slot",
    "set_entry",
    "set_devices",
    "set_members",
    "clear_counters",
    "attach",
    "detach",
    "write_spec",
    "flip",
    "grace",
    "retire",
    "drop_instance",
    "remove_graph",
)
GATE = '[nf.gate]\npackage = "gate"\n'
TALLY = '[nf.tally]\npackage = "tally==1.0"\n'
PLAIN = '"wan <-> outside:gate:inside <-> lan"'
LONG = '"wan -> in:tally:out -> outside:gate:inside <-> lan", "gate:outside -> wan"'


class Trap:
    """The real kernel, until the nth change: there `spring` is called instead of it, or right after it."""

    def __init__(self, root: Root, place: int, spring: Callable[[], None], *, after: bool = False) -> None:
        self._kernel = LinuxKernel(root)
        self._left = place
        self._spring = spring
        self._after = after
        self.sprung = False

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._kernel, name)
        if name not in CHANGING:
            return verb

        def counted(*arguments: object) -> object:
            self._left -= 1
            if self._left or self._after:
                result = verb(*arguments)
            if not self._left:
                self.sprung = True
                self._spring()
            return result

        return counted


def trapped(root: Root, place: int, spring: Callable[[], None], *, after: bool = False) -> tuple[Host, Trap]:
    trap = Trap(root, place, spring, after=after)
    return Host(root, trap, BitcodeLinker(root.cache / "objects"), Shelf(*packages())), trap  # type: ignore[arg-type]


def refuse() -> None:
    raise KernelError("refused-by-test", "no")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def road() -> Iterator[Road]:
    with Lab() as lab:
        yield Road(lab)


@pytest.fixture
def host(root: Root) -> Iterator[Host]:
    made = make_host(root)
    yield made
    for running in made.status():
        made.unstitch(running.name)


@pytest.fixture
def files(tmp_path: Path, road: Road) -> dict[str, Path]:
    texts = {"plain": road.graph(PLAIN, GATE), "long": road.graph(LONG, GATE + TALLY)}
    found = {name: tmp_path / f"{name}.toml" for name in texts}
    for name, text in texts.items():
        found[name].write_text(text)
    return found


CHANGES: dict[str, Callable[[Host, dict[str, Path]], object]] = {
    "stitch": lambda host, files: host.stitch(files["long"]),
    "insert": lambda host, files: host.insert("road", "tally==1.0", "wan"),
}


def picture(host: Host) -> object:
    status = host.status("road")[0]
    return (status.spec, status.hooks, sorted((s.key, s.program_id) for s in status.segments), status.leftovers)


@pytest.mark.parametrize("change", CHANGES)
def test_a_refused_step_leaves_the_kernel_as_it_was(
    host: Host, root: Root, road: Road, files: dict[str, Path], change: str
) -> None:
    host.stitch(files["plain"])
    before = picture(host)
    for place in range(1, 100):
        weak, trap = trapped(root, place, refuse)
        try:
            CHANGES[change](weak, files)
        except InkevError as error:
            assert error.code == "refused-by-test"  # noqa: PT017 - the last round does not raise
        if not trap.sprung:
            break
        if host.status("road")[0].generation != before[0].generation:
            break  # past the flip: clearing up was refused, the new graph runs
        assert picture(host) == before
        assert road.client.ping("10.9.0.2", count=1) == 1
    assert place > 5


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_kill_anywhere_leaves_the_old_or_the_new_graph(
    host: Host, root: Root, road: Road, files: dict[str, Path], change: str, after: bool
) -> None:
    sprung, place = True, 0
    while sprung:
        place += 1
        host.stitch(files["plain"])
        before = host.status("road")[0]
        child = os.fork()
        if child == 0:
            weak, _ = trapped(root, place, die, after=after)
            CHANGES[change](weak, files)
            os._exit(0)
        sprung = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        assert road.client.ping("10.9.0.2", count=1) == 1
        running = host.status("road")[0]
        assert running.generation in (before.generation, before.generation + 1)
        again = host.stitch(files["plain"])
        assert host.plan(files["plain"]).plan.is_empty
        status = host.status("road")[0]
        assert status.leftovers == ()
        assert list(status.spec.graph.instances) == ["gate"]
        assert again.applied == (running.generation != before.generation)
        assert road.client.ping("10.9.0.2", count=1) == 1
    assert place > 5


def test_a_kill_during_the_first_stitch_leaves_nothing_or_the_graph(
    host: Host, root: Root, road: Road, files: dict[str, Path]
) -> None:
    sprung, place = True, 0
    while sprung:
        place += 1
        child = os.fork()
        if child == 0:
            trapped(root, place, die)[0].stitch(files["plain"])
            os._exit(0)
        sprung = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        host.stitch(files["plain"])
        assert host.status("road")[0].leftovers == ()
        assert road.client.ping("10.9.0.2", count=1) == 1
        host.unstitch("road")
        assert list(root.bpffs.iterdir()) == []


def test_a_first_stitch_that_is_refused_leaves_nothing(root: Root, files: dict[str, Path]) -> None:
    for place in range(1, 100):
        weak, trap = trapped(root, place, refuse)
        try:
            weak.stitch(files["plain"])
        except InkevError as error:
            assert error.code == "refused-by-test"  # noqa: PT017 - the last round does not raise
        if not trap.sprung:
            make_host(root).unstitch("road")
            break
        assert list(root.bpffs.iterdir()) == []
    assert place > 5
