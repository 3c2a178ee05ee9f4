"""How many CPUs this machine can ever have: what per-CPU memory is sized by."""

from __future__ import annotations

from functools import cache
from pathlib import Path


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Return the CPU numbers of a kernel list such as `0-3,8`."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return tuple(numbers)


@cache
def _possible() -> tuple[int, ...]:
    return parse_cpu_list(Path("/sys/devices/system/cpu/possible").read_text())


def possible_cpus() -> int:
    """Return how many CPUs can ever be online; per-CPU values have one slot for each."""
    return len(_possible())


def block_places() -> int:
    """Return how many per-CPU blocks a graph has: the first power of two past the highest CPU number.

    A power of two, so that programs can mask the CPU's number, which is all that the verifier asks.
    """
    return 1 << max(_possible()).bit_length()
