"""Wall time and peak memory of whole commands, as a shell would see them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INKEV = str(Path(sys.executable).parent / "inkev")
_CHILD = """
import json, os, resource, sys, time
start = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ,
                      file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
_, status, used = os.wait4(pid, 0)
print(json.dumps([time.perf_counter() - start, used.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""
"""Runs and measures: a small process, because a child's peak starts at what the process that made it holds."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a command took."""

    milliseconds: float
    peak_megabytes: float
    """The largest of its processes that it waited for, itself included."""


def run(*command: str, environment: Mapping[str, str] | None = None) -> Run:
    """Run a command once, its output thrown away, Python's compiled modules kept as they usually are.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    measured = subprocess.run([sys.executable, "-I", "-S", "-c", _CHILD, *command], capture_output=True, text=True,
                              env=inherited | dict(environment or {}), check=True)
    seconds, peak_kilobytes, status = json.loads(measured.stdout)
    if status != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {status}: {measured.stderr}")
    return Run(seconds * 1e3, peak_kilobytes / 1024)


def typical(runs: Sequence[Run]) -> Run:
    """Return the median of the times and the greatest of the peaks."""
    times = sorted(each.milliseconds for each in runs)
    return Run(times[len(times) // 2], max(each.peak_megabytes for each in runs))
