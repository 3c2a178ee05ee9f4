"""A running graph as text: its chains, hooks, instances with their counters, segments and stitch points."""

from __future__ import annotations

from collections.abc import Mapping

from inkev.cli.columns import format_columns, format_count
from inkev.graph.chains import format_chains
from inkev.graph.model import Graph
from inkev.graph.spec import Spec
from inkev.host.results import GraphStatus, InstanceStatus

SHOWN_INTERFACES = 8
"""Of a hook with many interfaces the rest is a number."""


def draw_status(status: GraphStatus) -> str:
    """Return everything that is known of one graph, for people."""
    spec = status.spec
    parts = [_title(status), draw_chains(spec.graph)]
    parts += [_section("hooks", _hooks(status)), _section("instances", _instances(status))]
    parts += [_section("graph packages", _groups(spec.graph))]
    parts += [_section("stitch points", _points(spec)), _section("segments", _segments(status))]
    if status.drops:
        parts.append(f"dropped by the graph  {_counters(status.drops)}")
    if status.leftovers:
        parts.append(f"left by a killed command, cleared by the next: {', '.join(status.leftovers)}")
    return "\n\n".join(part for part in parts if part)


def _title(status: GraphStatus) -> str:
    spec = status.spec
    origin = f", from {spec.file}" if spec.file else ""
    cuts = f", live cuts: {len(spec.cuts)} (the next stitch links them in)" if spec.cuts else ""
    return f"{status.name}  generation {status.generation}{origin}{cuts}"


def _section(title: str, body: str) -> str:
    return f"{title}\n{body}" if body else ""


def draw_chains(graph: Graph) -> str:
    """Return the edges as chains, hooks first; a declared stitch point stands behind the edge that it names."""
    chains = format_chains(graph.edges, graph.instances)
    return "\n".join(f"  {chain}" for chain in chains)


def _hooks(status: GraphStatus) -> str:
    rows = []
    for name, hook in status.spec.graph.hooks.items():
        found = [attached for attached in status.hooks if attached.hook == name]
        labels = [f"{each.interface}{'' if each.alive else ' (gone)'}" for each in found[:SHOWN_INTERFACES]]
        if len(found) > SHOWN_INTERFACES:
            labels.append(f"and {len(found) - SHOWN_INTERFACES} more")
        netns = f"in {hook.netns}" if hook.netns else ""
        how = ", ".join(sorted({each.how for each in found})) or "not attached"
        rows.append((name, hook.type, ", ".join(labels) or hook.interface or hook.interfaces, netns, how))
    return format_columns(rows, indent=2)


def _groups(graph: Graph) -> str:
    rows = []
    for name, group in graph.groups.items():
        parts = ", ".join(part for part in graph.instances if part.startswith(f"{name}-"))
        rows.append((name, f"{group.package} {group.version}", parts))
    return format_columns(rows, indent=2)


def _instances(status: GraphStatus) -> str:
    heads = ("", "package", "packets", "dropped", "")
    rows = [(one.name, _package(one), format_count(one.packets), format_count(sum(one.drops.values())), _details(one))
            for one in status.instances]  # fmt: skip
    return format_columns(rows, heads, indent=2) if rows else ""


def _package(instance: InstanceStatus) -> str:
    gone = "" if instance.installed else " (no longer installed)"
    return f"{instance.package} {instance.version}{gone}"


def _details(instance: InstanceStatus) -> str:
    drops = f"dropped for {_counters(instance.drops)}" if instance.drops else ""
    metrics = _counters({name: count for name, count in instance.metrics.items() if count})
    return "; ".join(part for part in (metrics, drops) if part)


def _counters(counters: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {format_count(count)}" for name, count in counters.items())


def _points(spec: Spec) -> str:
    edges = {edge.source: edge for edge in spec.graph.edges}
    return format_columns(((name, edges.get(source, source)) for name, source in spec.graph.points.items()), indent=2)


def _segments(status: GraphStatus) -> str:
    members = {segment.key: segment for segment in status.spec.partition.segments}
    rows = []
    for segment in status.segments:
        known = members.get(segment.key)
        linked = " ".join(known.members) if known and known.members else "-"
        size = f"{segment.verified_instructions:,} verified, {segment.jited_bytes:,} bytes"
        rows.append((segment.key, known.program_type if known else "", linked, size, f"program {segment.program_id}",
                     segment.digest[:12]))  # fmt: skip
    return format_columns(rows, indent=2)
