"""What the host answers: of a change, and of what runs; values to be printed or turned into JSON."""

from __future__ import annotations

import msgspec

from inkev.graph.spec import Spec
from inkev.host.actions import Plan
from inkev.host.kernel import AttachedHook, RunningSegment


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did, or would do in a dry run."""

    plan: Plan
    applied: bool
    instance: str = ""
    """Which instance was inserted, replaced or removed."""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One instance and its counters, summed over CPUs."""

    name: str
    package: str
    version: str
    packets: int
    drops: dict[str, int]
    """By reason; those that are not 0."""
    metrics: dict[str, int]
    maps: tuple[str, ...] = ()
    installed: bool = True
    """False where its package is gone from the store: names of its reasons and metrics are unknown."""


class GraphStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel holds of one graph."""

    name: str
    generation: int
    spec: Spec
    hooks: tuple[AttachedHook, ...]
    segments: tuple[RunningSegment, ...]
    instances: tuple[InstanceStatus, ...]
    drops: dict[str, int]
    """Of the graph as a whole, by reason; those that are not 0."""
    leftovers: tuple[str, ...] = ()
