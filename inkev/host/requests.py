"""Turns a segment and the packages of its members into what the linker is asked for.

A request holds nothing but what decides the program: keys of segments and names of slots are left out, so a program
that only moves to another slot keeps its digest.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inkev.graph.model import Instance
from inkev.graph.partition import Exit, Segment, Slot, Step, Target
from inkev.host.catalog import Part
from inkev.host.linking import LinkRequest, Member
from inkev.host.members import make_member
from inkev.package.configuration import FindInterfaceFor


def link_request(
    graph: str,
    segment: Segment,
    parts: Mapping[str, Part],
    instances: Mapping[str, Instance],
    counters: Mapping[str, int],
    find_interface: FindInterfaceFor,
) -> LinkRequest:
    """Return the request for one segment.

    Args:
        graph: the graph's name.
        segment: as the partition has it.
        parts: by instance.
        instances: by name, for their configuration.
        counters: instance to the offset of its region in the block.
        find_interface: gives what turns an interface's name into its index where an instance is.

    Raises:
        Faults: a configuration that does not fit.
    """
    plain = normal_segment(segment)
    entered = _entered(plain)
    members: list[Member] = []
    entries: dict[str, str] = {}
    for name in segment.members:
        part = parts[name]
        ports = sorted(entered.get(name, {0}))
        if len(part.manifest.programs) > 1:
            entries |= {f"{name}:{port}": part.serving(port) for port in ports}
        for program in dict.fromkeys(part.serving(port) for port in ports):
            kind = segment.program_type
            members.append(
                make_member(
                    part.manifest,
                    part.layouts[program, kind],
                    part.bitcode(program, kind),
                    instance=name,
                    config=instances[name].config,
                    counters=counters[name],
                    source_root=str(part.folder),
                    find_interface=find_interface(name),
                )
            )
    return LinkRequest(graph=graph, segment=plain, members=tuple(members), entries=entries)


def normal_segment(segment: Segment) -> Segment:
    """Return the segment without the names that do not change its program."""
    exits = tuple(Exit(e.instance, e.port, _nameless(e.target)) for e in segment.exits)
    return msgspec.structs.replace(segment, key="", head=_nameless(segment.head), exits=exits)


def _nameless(target: Target) -> Target:
    return msgspec.structs.replace(target, key="") if isinstance(target, Slot) else target


def _entered(segment: Segment) -> dict[str, set[int]]:
    """Return by which ports packets enter each member."""
    found: dict[str, set[int]] = {}
    for target in (segment.head, *(e.target for e in segment.exits)):
        if isinstance(target, Step):
            found.setdefault(target.instance, set()).add(target.port)
    return found
