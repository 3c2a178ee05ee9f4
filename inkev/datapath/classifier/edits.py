"""Changes of a running tree: only the leaves that a rule reaches are written anew, each published by one store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from inkev.datapath.classifier.arena import Arena, Draft
from inkev.datapath.classifier.tree import GROUPS, LEAF_RULES, MAX_LEAF_RULES, Box, Region, build, clip, reach, weight
from inkev.datapath.classifier.words import EMPTY_AT, NO_RULES, Family, Node, unpack_node

Change = Callable[[list[Box]], list[Box]]
"""What becomes of a leaf's rules; gets and returns them best first."""

SLACK = 2
"""A leaf grows to this many times what a fresh tree would give it before it is cut.

One that could not be cut then is tried again each time it has doubled."""

PATIENCE = 16
"""Rules that one change cuts anew in all the leaves it makes too long; other leaves wait until they double again."""

FAR = 100
"""A rule that reaches more leaves than this is better off in another group."""


@dataclass(slots=True)
class Edit:
    """One change of one tree, drafted; nothing of it is seen before `publish`."""

    arena: Arena
    family: Family
    box: Box
    """Says which leaves are reached."""
    change: Change
    draft: Draft
    _patience: int = PATIENCE
    _leaves: list[tuple[int, int, int]] = field(default_factory=list)
    """Slot, node before, node after."""
    _after: dict[int, tuple[Box, ...]] = field(default_factory=dict)
    _known: dict[tuple[int, int], int] = field(default_factory=dict)
    """Place of a leaf before, and how many of its rules are seen now, to its node after: several slots may share it."""

    def publish(self) -> None:
        """Make the change seen, slot by slot: a packet looks at one leaf of a tree, so it sees all or nothing of it."""
        words = self.arena.words
        for slot, _, after in self._leaves:
            words[slot] = after
        for _, before, _ in self._leaves:
            self.arena.release_leaf(before, self.family)

    def walk(self, slot: int, region: Region, depth: int = 0) -> None:
        """Draft the change for every leaf that the box reaches from this slot down."""
        packed = self.arena.words[slot]
        node = unpack_node(packed)
        if node.is_leaf:
            self._leaves.append((slot, packed, self._leaf(packed, region, depth)))
            return
        word = self.family.key_words.index(node.word)
        for child in reached(self.box, region, word, node):
            self.walk(node.base + child, region.narrow(word, node.shift, node.size, child), depth + 1)

    def _boxes_after(self, packed: int) -> tuple[Box, ...]:
        """Return the leaf's rules after the change, worked out once for all its slots."""
        before = unpack_node(packed).base
        if before not in self._after:
            self._after[before] = tuple(self.change(self.arena.boxes(packed, self.family)))
        return self._after[before]

    def _leaf(self, packed: int, region: Region, depth: int) -> int:
        boxes = self._boxes_after(packed)
        if not boxes:
            return NO_RULES
        seen = weight(boxes, region)
        if self._is_worth_a_cut(seen, unpack_node(packed).size):
            self._patience -= len(boxes)
            return self.draft.place(build(boxes, region, depth))
        return self._shared(unpack_node(packed).base, boxes, seen)

    def _is_worth_a_cut(self, seen: int, before: int) -> bool:
        """Return whether a leaf of `seen` rules has doubled and there is time, or is more than a search can hold."""
        has_doubled = seen > SLACK * LEAF_RULES and seen.bit_length() > before.bit_length()
        return seen > MAX_LEAF_RULES or (has_doubled and self._patience > 0)

    def _shared(self, before: int, boxes: tuple[Box, ...], seen: int) -> int:
        """Return the node of the leaf that takes the place of the one at `before`, written once for all its slots."""
        packed = self._known.get((before, seen))
        if packed is None or before == EMPTY_AT:
            packed = self._known[before, seen] = self.draft.leaf(boxes, seen)
        else:
            self.arena.share(packed)
        return packed


def reached(box: Box, region: Region, word: int, node: Node) -> list[int]:
    """Return the children of a node that the box reaches."""
    low, high = clip(box, region, word)
    if low > high:
        return []
    first, count = reach(low, high, node.shift, node.size)
    return [child & (1 << node.size) - 1 for child in range(first, first + count)]


def draft_edit(arena: Arena, family: Family, group: int, box: Box, change: Change) -> Edit:
    """Return the drafted change of the leaves that `box` reaches in one tree.

    Raises:
        UserError: `table-full`; nothing is changed.
    """
    edit = Edit(arena, family, box, change, Draft(arena, family))
    try:
        edit.walk(arena.root(family, group), family.region)
    except BaseException:
        edit.draft.undo()
        raise
    return edit


def choose_group(arena: Arena, family: Family, own: int, box: Box) -> int:
    """Return the group where the rule reaches few leaves: its own unless that were very many."""
    distance = count_leaves(arena, family, own, box)
    if distance < FAR:
        return own
    return min(range(GROUPS), key=lambda group: (count_leaves(arena, family, group, box), group != own))


def count_leaves(arena: Arena, family: Family, group: int, box: Box) -> int:
    """Return how many leaf slots the box reaches in a tree; FAR stands for that many or more."""
    found = 0
    open_slots = [(arena.root(family, group), family.region)]
    while open_slots and found < FAR:
        slot, region = open_slots.pop()
        node = unpack_node(arena.words[slot])
        if node.is_leaf:
            found += 1
            continue
        word = family.key_words.index(node.word)
        open_slots += [(node.base + child, region.narrow(word, node.shift, node.size, child))
                       for child in reached(box, region, word, node)]
    return found
