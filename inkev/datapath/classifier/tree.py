"""Decision trees over ordered rules: which bits of the key to look at next, until few rules are left.

Pure: from boxes to trees. A node looks at one window of bits of one word of the key (equal cuts, as in HiCuts and
CutSplit, but a
window may stand anywhere in the word, so that what a site's addresses share costs no level). A leaf compares whole
rules, so a
window never has to prove anything. Rules are parted into four groups by which addresses are specific, each with a
tree of its own,
because a rule that is open on one side would be copied into every child of a cut on that side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2
from typing import NamedTuple

LEAF_RULES = 4
"""A leaf is cut while it holds more that a packet may have to be compared with."""

MAX_LEAF_RULES = 63
"""Bound of the leaf loop in <inkev/classify.h>."""

MAX_DEPTH = 12
"""Bound of the descent in <inkev/classify.h>."""

SPECIFIC_BITS = 12
"""An address prefix at least this long puts its rule into a group that is cut on that address."""

GROUPS = 4

WIDEST = 10
"""Most bits in a window: 1,024 children."""

SMALL_COPY_COST, LARGE_COPY_COST = 0.2, 0.6
"""Halvings that doubling the rules by copies is as bad as, in small and in large trees."""

SMALL = 48
"""For fewer rules than this only a few narrow windows are rated."""

CROWDED, CROWDED_COPY_COST = 40, 0.2
"""A list longer than this is worth more copies."""

SPARSE_COST = 0.12
"""Halvings that a bit of a window costs where it has more children than there are rules for."""

SAMPLE = 64
"""Rules looked at to choose a cut; all are dealt out."""


class Box(NamedTuple):
    """What a tree needs of a rule: a closed range in every word of the key, and its place in the order."""

    priority: int
    """Smaller wins; unique in a table."""
    low: tuple[int, ...]
    high: tuple[int, ...]
    exact: bool
    """True where the ranges say all: a packet inside matches (no TCP flags, no interface)."""
    words: tuple[int, ...] = ()
    """The rule as a leaf of the arena holds it."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """Few boxes, best first. Those after `seen` lie below one that always matches, and wait for its removal."""

    boxes: tuple[Box, ...]
    seen: int


@dataclass(frozen=True, slots=True)
class Cut:
    """`(key[word] >> shift) & (2**width - 1)` is the child to go to."""

    word: int
    shift: int
    width: int
    children: tuple[Leaf | Cut, ...]


Tree = Leaf | Cut

EMPTY = Leaf((), 0)


class Region(NamedTuple):
    """The keys that can reach a node: per word, bits that are known and their value."""

    known: tuple[int, ...]
    value: tuple[int, ...]

    def narrow(self, word: int, shift: int, width: int, child: int) -> Region:
        """Return the region of one child of a cut."""
        mask = ((1 << width) - 1) << shift
        known, value = list(self.known), list(self.value)
        known[word] |= mask
        value[word] |= child << shift
        return Region(tuple(known), tuple(value))


def whole(sizes: Sequence[int]) -> Region:
    """Return the region of every key whose words have these sizes in bits; bits beyond are known to be 0."""
    return Region(tuple(~((1 << size) - 1) & 0xFFFFFFFF for size in sizes), (0,) * len(sizes))


class Span(NamedTuple):
    """Which children of a cut a box reaches: `size` of them from `first`, modulo the number of children."""

    first: int
    size: int


def reach(low: int, high: int, shift: int, width: int) -> Span:
    """Return the window values that numbers from `low` to `high` take."""
    first, last = low >> shift, high >> shift
    size = 1 << width
    if last - first >= size - 1:
        return Span(0, size)
    return Span(first & (size - 1), last - first + 1)


def clip(box: Box, region: Region, word: int) -> tuple[int, int]:
    """Return the part of the box's range in `word` that keys of the region can have; exact where bits lead."""
    value = region.value[word]
    low, high = box.low[word], box.high[word]
    top = value | ~region.known[word] & 0xFFFFFFFF
    return (max(value, low)), (min(top, high))


def covers(box: Box, region: Region) -> bool:
    """Return whether every key of the region matches the box."""
    if not box.exact:
        return False
    for word, value in enumerate(region.value):
        if box.low[word] > value or box.high[word] < value | ~region.known[word] & 0xFFFFFFFF:
            return False
    return True


def weight(boxes: Sequence[Box], region: Region) -> int:
    """Return how many of the boxes (best first) a search looks at: those down to one that always matches."""
    for place, box in enumerate(boxes):
        if covers(box, region):
            return place + 1
    return len(boxes)


def group(source_bits: int, destination_bits: int) -> int:
    """Return the group for prefixes of these lengths: 0 both are specific, 1 source, 2 destination, 3 neither."""
    return (0 if source_bits >= SPECIFIC_BITS else 2) + (0 if destination_bits >= SPECIFIC_BITS else 1)


@dataclass(frozen=True, slots=True)
class Choice:
    """A possible cut, and how good it is (0 or less: no use)."""

    word: int
    shift: int
    width: int
    score: float


Twins = dict[tuple[int, ...], Leaf]
"""Leaves by the priorities in them: many regions need the same rules, and share one copy."""


Ranges = dict[tuple[int, int], int]
"""Ranges in one word, and how many rules have each."""


def build(boxes: tuple[Box, ...], region: Region, depth: int = 0) -> Tree:
    """Return the tree for boxes (best first) that keys of the region may be in.

    Args:
        boxes: all that reach the region.
        region: what is known of the keys that come here.
        depth: cuts above it; MAX_DEPTH is the most.
    """
    return _build(boxes, region, depth, Costs(copy_cost(len(boxes)), {}))


class Costs(NamedTuple):
    """What stays the same throughout one tree."""

    copy: float
    """Halvings that doubling the rules by copies is as bad as."""
    twins: Twins


def copy_cost(count: int) -> float:
    """Return what copies cost in a tree of so many rules: a small one may grow and still fit the caches."""
    return min(LARGE_COPY_COST, SMALL_COPY_COST + 0.05 * max(0.0, log2(count / 64))) if count else 0.0


def _build(boxes: tuple[Box, ...], region: Region, depth: int, costs: Costs) -> Tree:
    seen = weight(boxes, region)
    choice = _afford(boxes, region, seen, costs.copy) if seen > LEAF_RULES and depth < MAX_DEPTH else None
    if choice is None:
        return _leaf(boxes, seen, costs.twins)
    word, shift, width = choice.word, choice.shift, choice.width
    return Cut(word, shift, width, tuple([
        _build(tuple(hand), region.narrow(word, shift, width, child), depth + 1, costs)
        for child, hand in enumerate(deal(boxes, region, word, shift, width))]))


def _afford(boxes: tuple[Box, ...], region: Region, seen: int, copy: float) -> Choice | None:
    """Return the best cut at the usual cost of copies; a list that is too long to leave pays any."""
    choice = choose(boxes, region, copy)
    if choice is None and seen > CROWDED:
        choice = choose(boxes, region, CROWDED_COPY_COST)
    if choice is None and seen > MAX_LEAF_RULES:
        choice = choose(boxes, region, 0.0)
    return choice


def _leaf(boxes: tuple[Box, ...], seen: int, twins: Twins) -> Leaf:
    if not boxes:
        return EMPTY
    twin = twins.setdefault(tuple([box.priority for box in boxes]), Leaf(boxes, seen))
    return twin if twin.seen == seen else Leaf(twin.boxes, seen)


def deal(boxes: Sequence[Box], region: Region, word: int, shift: int, width: int) -> list[list[Box]]:
    """Return the boxes that each child of a cut needs, in their order."""
    size = 1 << width
    hands: list[list[Box]] = [[] for _ in range(size)]
    for box in boxes:
        low, high = clip(box, region, word)
        if low > high:
            continue  # no key that comes here can match
        first, count = reach(low, high, shift, width)
        if count == 1:
            hands[first].append(box)
        else:
            for child in range(first, first + count):
                hands[child & (size - 1)].append(box)
    return hands


def choose(boxes: Sequence[Box], region: Region, copy: float) -> Choice | None:
    """Return the best cut for the boxes, or None where none thins them out."""
    step = max(1, len(boxes) // SAMPLE)
    sample = boxes[::step]
    best: Choice | None = None
    for word in range(len(region.known)):
        ranges: Ranges = Counter([clip(box, region, word) for box in sample])
        for empty in [span for span in ranges if span[0] > span[1]]:
            del ranges[empty]
        for shift, width in windows(ranges, region.known[word], len(boxes)):
            score = rate(ranges, shift, width, len(boxes), copy)
            if score > 0 and (best is None or score > best.score):
                best = Choice(word, shift, width, score)
    return best


def windows(ranges: Ranges, known: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield (shift, width) of windows worth rating: from the first bits in which the ranges differ downwards."""
    if len(ranges) < 2:
        return
    differing = 0
    first = next(iter(ranges))[0]
    for low, high in ranges:
        differing |= (low ^ first) | (high ^ low)
    differing &= ~known
    if not differing:
        return
    top = differing.bit_length()
    widest = min(WIDEST, max(2, int(log2(count)) + 1))
    small = count < SMALL
    for start in (top, top - 3, top - 7) if small else (top, top - 4, top - 8, top - 12, top - 16):
        for width in (1, 2, 4) if small else (widest - 4, widest - 2, widest):
            if 0 < width <= start and not (known >> (start - width)) & ((1 << width) - 1):
                yield start - width, width


def rate(ranges: Ranges, shift: int, width: int, count: int, copy: float) -> float:
    """Return how many halvings of the list one such cut is worth, less what its copies cost; 0 or less is no use."""
    size = 1 << width
    total = everywhere = copies = 0
    counts: dict[int, int] = {}
    for (low, high), times in ranges.items():
        total += times
        first = low >> shift
        reached = (high >> shift) - first + 1
        if reached >= size:
            everywhere += times
            continue
        copies += reached * times
        for child in range(first, first + reached):
            counts[child & (size - 1)] = counts.get(child & (size - 1), 0) + times
    if everywhere == total:
        return 0.0
    # Packets come as rules are: a child is met as often as it has rules of its own.
    met = everywhere + sum([n * n for n in counts.values()]) / copies
    growth = (copies + everywhere * size) / total
    return log2(total / met) - copy * log2(growth) - SPARSE_COST * width * (size > 2 * count)
