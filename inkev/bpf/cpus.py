"""How many CPUs a per-CPU map has values for."""

from __future__ import annotations

from functools import cache
from pathlib import Path


def parse_cpu_list(text: str) -> int:
    """Return how many CPUs a kernel list such as `0-3,8` names."""
    count = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return count


@cache
def possible_cpus() -> int:
    """Return how many CPUs can ever be online; per-CPU values have one slot for each."""
    return parse_cpu_list(Path("/sys/devices/system/cpu/possible").read_text())
