"""The whole suite's rules: pure tests first, no kernel test without a kernel, nothing left behind."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from inkev.base.paths import Root, find_root

PREFIX = "ikvt"
NETNS = Path("/run/netns")
BPFFS = Path("/sys/fs/bpf")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that need the kernel after the pure ones, each group in its own order."""
    items.sort(key=lambda item: item.get_closest_marker("kernel") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail, never skip, where a kernel test cannot reach the kernel."""
    if item.get_closest_marker("kernel") is None:
        return
    if os.geteuid() != 0:
        pytest.fail("needs root: run `make test`", pytrace=False)
    if not os.path.ismount(BPFFS):
        pytest.fail("needs bpffs: run `make setup`", pytrace=False)


def belongings() -> set[str]:
    """Return what stands in the kernel under the suite's prefix: namespaces, interfaces, pins."""
    found = {f"namespace {path.name}" for path in NETNS.glob(f"{PREFIX}*")}
    found |= {f"interface {path.name}" for path in Path("/sys/class/net").glob(f"{PREFIX}*")}
    found |= {f"pin {path.name}" for path in BPFFS.glob("*") if path.name.startswith((PREFIX, "inkev-"))}
    return found


def open_links() -> int:
    """Return how many BPF objects this process holds open."""
    targets = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            targets.append(str(path.readlink()))
        except FileNotFoundError:  # the folder's own descriptor
            continue
    return sum(target.startswith("anon_inode:bpf") for target in targets)


def children() -> set[str]:
    """Return what runs as a child of this process: command lines."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            with suppress(FileNotFoundError):
                found.add(f"process {Path('/proc', child, 'cmdline').read_text().replace(chr(0), ' ').strip()}")
    return found - {"process "}


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a run of the whole suite that leaves namespaces, interfaces, pins, processes or open BPF objects."""
    before, links_before = belongings(), open_links()
    yield
    if request.config.args != request.config.getini("testpaths"):
        return  # a part of the suite may run beside another run
    gc.collect()
    assert sorted((belongings() | children()) - before) == []
    assert open_links() <= links_before


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    """Yield a root of the test's own, which INKEV_ROOT names too; its pins are gone afterwards."""
    monkeypatch.setenv("INKEV_ROOT", str(tmp_path / "root"))
    own = find_root()
    yield own
    shutil.rmtree(own.bpffs, ignore_errors=True)
