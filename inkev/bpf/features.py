"""What this kernel can do, found out by trying: version numbers lie, for distributions carry features backwards."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from inkev.base.errors import NotSupportedError
from inkev.bpf.assembly import R0, R1, call, constant, leave, map_value
from inkev.bpf.link import query_tcx
from inkev.bpf.maps import MMAPABLE, NO_PREALLOC, Map, MapType
from inkev.bpf.program import AttachType, Program, ProgramType


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing a kernel may lack."""

    name: str
    since: str
    """The version of Linux that it appeared in."""
    probe: Callable[[], None]
    """Raises OSError, or what a program's load raises, where it is missing."""


WITHOUT = "INKEV_WITHOUT"
"""Environment variable: features, with commas between, to do without, as on a kernel that lacks them."""


@cache
def has(name: str) -> bool:
    """Return whether the kernel has the feature; asked once in a process."""
    if name in os.environ.get(WITHOUT, "").split(","):
        return False
    try:
        FEATURES[name].probe()
    except OSError as error:
        if error.errno in {errno.EPERM, errno.EACCES}:
            raise
        return False
    except NotSupportedError:
        return False
    return True


def has_tcx() -> bool:
    """Return whether tc programs attach by links."""
    return has("tcx")


def require(names: Iterable[str]) -> None:
    """Raise for the first feature that is missing.

    Raises:
        NotSupportedError: `kernel-too-old`; a name that nobody knows is `unknown-feature`.
    """
    for name in names:
        if name not in FEATURES:
            raise NotSupportedError("unknown-feature", f"nobody knows a kernel feature {name}",
                                    hint=f"known are {', '.join(sorted(FEATURES))}")
        if not has(name):
            raise NotSupportedError("kernel-too-old", f"this kernel has no {name}",
                                    hint=f"it appeared in Linux {FEATURES[name].since}")


def _map(kind: MapType, key: int, value: int, entries: int, flags: int = 0) -> Callable[[], None]:
    def probe() -> None:
        Map.create(kind, key, value, entries, flags=flags, name="ikv_probe").close()

    return probe


def _program(kind: ProgramType, attach: AttachType) -> Callable[[], None]:
    def probe() -> None:
        Program.probe(kind, constant(R0, 0) + leave(), attach)

    return probe


def _direct_value() -> None:
    with Map.create(MapType.ARRAY, 4, 8, 1, flags=MMAPABLE, name="ikv_probe") as cell:
        Program.probe(ProgramType.SCHED_CLS, map_value(R1, cell.fileno()) + constant(R0, 0) + leave(), AttachType.NONE)


def _helper(number: int) -> Callable[[], None]:
    def probe() -> None:
        Program.probe(ProgramType.SCHED_CLS, call(number) + constant(R0, 0) + leave(), AttachType.NONE)

    return probe


def _tcx() -> None:
    query_tcx(1, AttachType.TCX_INGRESS)


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature("xdp", "4.8", _program(ProgramType.XDP, AttachType.XDP)),
        Feature("tc", "4.1", _program(ProgramType.SCHED_CLS, AttachType.NONE)),
        Feature("tcx", "6.6", _tcx),
        Feature("direct-map-values", "5.5", _direct_value),
        Feature("lpm-trie", "4.11", _map(MapType.LPM_TRIE, 8, 4, 1, NO_PREALLOC)),
        Feature("lru-hash", "4.10", _map(MapType.LRU_HASH, 4, 4, 1)),
        Feature("lru-percpu-hash", "4.10", _map(MapType.LRU_PERCPU_HASH, 4, 4, 1)),
        Feature("percpu-hash", "4.6", _map(MapType.PERCPU_HASH, 4, 4, 1)),
        Feature("devmap-hash", "5.4", _map(MapType.DEVMAP_HASH, 4, 4, 1)),
        Feature("ring-buffer", "5.8", _map(MapType.RINGBUF, 0, 0, 4096)),
        Feature("bloom-filter", "5.16", _map(MapType.BLOOM_FILTER, 0, 4, 1)),
        Feature("queue", "4.20", _map(MapType.QUEUE, 0, 4, 1)),
        Feature("ktime-boot", "5.7", _helper(125)),
    )
}
"""By the names that a manifest's `[requires] kernel` uses."""

EVERY_GRAPH = ("xdp", "tc", "direct-map-values", "devmap-hash")
"""What nothing works without."""
