"""A fixture for tests that open BPF objects: each gives back what it took."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest


def bpf_descriptors() -> list[str]:
    """Return what this process holds open of BPF, by kind."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            target = str(path.readlink())
        except FileNotFoundError:  # the folder's own descriptor
            continue
        if "bpf" in target:
            found.append(target)
    return sorted(found)


@pytest.fixture(autouse=True)
def no_descriptor_is_leaked() -> Iterator[None]:
    """Fail a test that forgets a map, a program or a link."""
    before = bpf_descriptors()
    yield
    gc.collect()
    assert bpf_descriptors() == before
