"""What gets linked together: segments, their exits, and the slots between them; as values.

The partition is a pure function of the graph, the packages' digests, the live cuts and remembered verifier refusals:
the same input always gives the same segments, so a no-op stays a no-op. `inkev.graph.cutting` makes it.
"""

from __future__ import annotations

import msgspec

from inkev.graph.model import ProgramType


class Step(msgspec.Struct, frozen=True, tag="step"):
    """Go on in the same program: enter `instance` by its port number `port`."""

    instance: str
    port: int


class Slot(msgspec.Struct, frozen=True, tag="slot"):
    """Leave this program by a tail call through slot `number` of the generation's prog array."""

    number: int
    key: str
    """The segment's key: the source of the edge, e.g. `fw:inside`."""
    port: int = 0
    """The port number by which the head of that segment is entered; travels in the saved context."""


class Out(msgspec.Struct, frozen=True, tag="out"):
    """Send the packet out of a hook's or device's interface: entry `number` of the graph's device array."""

    node: str
    number: int
    same_hook: bool = False
    """True where the packet entered by this very hook: redirected like any other (xdp), continue (tc-egress)."""
    set: bool = False
    """True for an interface set: the NF names the interface by ikv_forward_to()."""


class Pass(msgspec.Struct, frozen=True, tag="pass"):
    """Hand the packet to the host's stack."""


class Drop(msgspec.Struct, frozen=True, tag="drop"):
    """Discard, and count under the graph-wide reason (`unwired`, or `none` for a declared `-> drop`)."""

    reason: str = "none"


Target = Step | Slot | Out | Pass | Drop


class Exit(msgspec.Struct, frozen=True):
    """Where output port `port` (number) of a member leads."""

    instance: str
    port: int
    target: Target


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One program: what is linked, how it is entered, where it leads.

    A program entered by a hook (`fresh`) starts with a packet nobody has looked at, unless the saved context is marked
    valid (something was inserted before it). One entered by a slot always restores.
    """

    key: str
    """`hook:NAME`, or the source of the cut edge, e.g. `fw:inside`: what stays when the target changes."""
    program_type: ProgramType
    head: Target
    """Where a packet goes first: usually a Step; an Out, Pass or Drop for an edge that leads straight out."""
    fresh: bool
    members: tuple[str, ...] = ()
    """Instances in topological order, ties by name; a member's token in symbols is its position."""
    exits: tuple[Exit, ...] = ()
    """Every output port of every member, sorted."""
    cyclic: bool = False
    """True where a missed tail call means the hop limit."""
    raw_verdicts: bool = False
    """For packet tests: the program returns the head's own verdict, (kind << 16) | argument, and follows no exit."""


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """All segments of one graph and the numbers its code refers to."""

    segments: tuple[Segment, ...]
    slots: dict[str, int]
    """Segment key (not hooks) to slot number, of its program type's prog array."""
    hooks: dict[str, int]
    """Hook name to its number among hooks of its program type: entries 2n and 2n+1."""
    devices: dict[str, int]
    """Hook or device name to its place in the device array."""
