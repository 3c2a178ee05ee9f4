"""Reads a running graph's counters and gives them their names."""

from __future__ import annotations

from inkev.base.errors import UserError
from inkev.base.limits import COMMON_REASONS
from inkev.graph.spec import Spec
from inkev.host.catalog import Catalog, Part
from inkev.host.kernel import Kernel, Running
from inkev.host.results import GraphStatus, InstanceStatus
from inkev.package.verdicts import GRAPH_REASONS, reason_names

GRAPH_DROPS = 128
"""IKV_BLOCK_GRAPH_DROPS (inkev/abi.h)."""


def report(kernel: Kernel, catalog: Catalog, running: Running) -> GraphStatus:
    """Return everything that is known of what runs."""
    spec = running.spec
    drops = kernel.read_counters(spec.graph.name, GRAPH_DROPS, len(GRAPH_REASONS))
    return GraphStatus(
        name=spec.graph.name,
        generation=spec.generation,
        spec=spec,
        hooks=running.hooks,
        segments=running.segments,
        instances=tuple(_instance(kernel, catalog, running, name) for name in spec.graph.instances),
        drops={name: count for name, count in zip(GRAPH_REASONS, drops, strict=True) if count},
        leftovers=running.leftovers,
    )


def _instance(kernel: Kernel, catalog: Catalog, running: Running, name: str) -> InstanceStatus:
    spec, part = running.spec, _find_part(catalog, running.spec, name)
    reasons = reason_names(tuple(part.manifest.reasons) if part else ())
    names = list(part.manifest.metrics) if part else []
    private = len(part.manifest.reasons) if part else 0
    counters = kernel.read_counters(spec.graph.name, spec.counters[name], 1 + COMMON_REASONS + private + len(names))
    packets, drops = counters[0], counters[1 : 1 + COMMON_REASONS + private]
    return InstanceStatus(
        name=name,
        package=spec.lock[name].package,
        version=spec.lock[name].version,
        packets=packets,
        drops={reasons.get(number, f"reason-{number}"): count for number, count in enumerate(drops) if count},
        metrics=dict(zip(names, counters[1 + COMMON_REASONS + private :], strict=True)),
        maps=running.instances.get(name, ()),
        installed=part is not None,
    )


def _find_part(catalog: Catalog, spec: Spec, name: str) -> Part | None:
    try:
        return catalog.part(spec.lock[name])
    except UserError:
        return None
