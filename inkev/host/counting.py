"""Where each instance's counters lie in the graph's per-CPU block; survivors stay where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inkev.base.errors import UserError
from inkev.base.limits import BLOCK_BYTES, BLOCK_HEADER_BYTES

Region = tuple[int, int]
"""Offset and length in bytes."""


def place_counters(sizes: Mapping[str, int], before: Mapping[str, Region]) -> dict[str, int]:
    """Return the byte offset of every instance's region.

    Room that the running graph uses is taken only where there is no other: its packets still count there for a moment.

    Args:
        sizes: instance to the bytes it needs.
        before: instance to its running region.

    Raises:
        UserError: `too-many-counters`.
    """
    kept = {name: before[name][0] for name, size in sizes.items() if name in before and before[name][1] == size}
    for avoided in (list(before.values()), [before[name] for name in kept], []):
        placed = _place(sizes, kept if avoided else {}, avoided)
        if placed is not None:
            return placed
    raise UserError(
        "too-many-counters",
        f"the instances' counters need {sum(sizes.values())} bytes",
        why=f"a graph has {BLOCK_BYTES - BLOCK_HEADER_BYTES}",
        hint="split it into several graphs",
    )


def overlap(one: Region, other: Region) -> bool:
    """Return whether two regions share a byte."""
    return one[0] < other[0] + other[1] and other[0] < one[0] + one[1]


def _place(sizes: Mapping[str, int], kept: Mapping[str, int], avoided: Iterable[Region]) -> dict[str, int] | None:
    """Put what is not kept into the first gap it fits; None where something fits nowhere."""
    taken = sorted(avoided)
    placed = dict(kept)
    for name in sorted(set(sizes) - set(kept)):
        offset = _first_gap(sizes[name], taken)
        if offset is None:
            return None
        placed[name] = offset
        taken = sorted([*taken, (offset, sizes[name])])
    return placed


def _first_gap(size: int, taken: Iterable[Region]) -> int | None:
    start = BLOCK_HEADER_BYTES
    for offset, length in taken:
        if offset - start >= size:
            return start
        start = max(start, offset + length)
    return start if start + size <= BLOCK_BYTES else None
