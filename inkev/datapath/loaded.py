"""Programs that this process loaded in hot changes, held so that one that comes back is not verified again.

Only programs whose maps are all the graph's own: bound to the same maps, the same object is the same program.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable

from inkev.bpf.maps import Map
from inkev.bpf.pin import repin
from inkev.bpf.program import Program
from inkev.datapath.observation import describe
from inkev.datapath.pins import GraphPins
from inkev.host.kernel import RunningSegment, SegmentLoad

CAPACITY = 16
"""Programs held at once; the kernel's memory for each is some 10 kB."""


class LoadedPrograms:
    """The programs held, least recently used first; they are let go with this object."""

    def __init__(self) -> None:
        self._held: dict[Hashable, Program] = {}
        weakref.finalize(self, _let_go, self._held)

    def pin_again(self, pins: GraphPins, generation: int, segment: SegmentLoad) -> RunningSegment | None:
        """Pin the segment's program in the generation if it is held; None where it has to be loaded."""
        if not _is_stateless(segment):
            return None
        key = _identify(pins, generation, segment)
        program = self._held.pop(key, None)
        if program is None:
            return None
        self._held[key] = program
        repin(program, pins.generation(generation).segment(segment.key))
        return describe(program, segment.key, segment.object.digest)

    def keep(self, pins: GraphPins, generation: int, segment: SegmentLoad) -> None:
        """Hold the program that was just pinned for the segment, if it may come back."""
        if not _is_stateless(segment):
            return
        while len(self._held) >= CAPACITY:
            self._held.pop(next(iter(self._held))).close()
        key = _identify(pins, generation, segment)
        self._held[key] = Program.open(pins.generation(generation).segment(segment.key))

    def clear(self) -> None:
        """Let all go: their prog arrays are about to be replaced."""
        _let_go(self._held)


def _let_go(held: dict[Hashable, Program]) -> None:
    while held:
        held.popitem()[1].close()


def _is_stateless(segment: SegmentLoad) -> bool:
    return not any(found.instance for found in segment.object.maps)


def _identify(pins: GraphPins, generation: int, segment: SegmentLoad) -> Hashable:
    """Return the object and the maps that it is bound to: block, devices and interface sets are made together."""
    slots = pins.generation(generation).slots(segment.program_type)
    with Map.open(pins.block) as block, Map.open(slots) as array:
        return segment.object.digest, segment.program_type, block.info.id, array.info.id
