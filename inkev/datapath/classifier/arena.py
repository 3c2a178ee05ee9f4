"""The arena: one array of 64-bit words shared with the kernel, its free space, and trees written into it.

Word 0 says where the root block is (a root for each group of each family), word 1 counts changes. Space that a
packet may still be reading is set aside and given out again only after a grace period.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from inkev.base.errors import UserError
from inkev.datapath.classifier.tree import GROUPS, MAX_LEAF_RULES, Box, Cut, Tree
from inkev.datapath.classifier.words import (
    EMPTY_AT,
    FAMILIES,
    LEAF,
    NO_RULES,
    Family,
    Node,
    pack_node,
    unpack_node,
    unpack_rule,
)

HEADER_WORDS = 8
SPARE_WORDS = 16
"""Words after the last that may be given out (IKV_CLASS_SPARE_WORDS)."""

KNOWN_BOXES = 32_768
"""Rules that are kept unpacked, to make changes quick."""

LEAF_WORDS = 2
"""Before the rules of a leaf."""

ROOTS = GROUPS * len(FAMILIES)
Words = memoryview
"""Of 64-bit words, writable: a slot is stored whole."""


def table_full(why: str, hint: str) -> UserError:
    """Return the error for rules that do not fit."""
    return UserError("table-full", "the rules do not fit", why=why, hint=hint)


@dataclass(slots=True)
class Space:
    """Which words are free. Blocks are given out by exact size where one is there, else cut from the rest."""

    end: int
    top: int = HEADER_WORDS
    """First word that was never given out."""
    free: dict[int, list[int]] = field(default_factory=dict)
    resting: list[tuple[int, int]] = field(default_factory=list)
    """Released, but a packet may be in them."""

    def take(self, size: int) -> int | None:
        """Return where `size` free words begin, or None."""
        exact = self.free.get(size)
        if exact:
            return exact.pop()
        if self.top + size <= self.end:
            self.top += size
            return self.top - size
        return self._split(size)

    def _split(self, size: int) -> int | None:
        larger = [held for held, places in self.free.items() if held > size and places]
        if not larger:
            return None
        held = min(larger)
        at = self.free[held].pop()
        self.give(at + size, held - size)
        return at

    def give(self, at: int, size: int) -> None:
        """Make a block free that nobody reads."""
        if size:
            self.free.setdefault(size, []).append(at)

    def settle(self) -> None:
        """Free what was resting: a grace period has passed."""
        for at, size in self.resting:
            self.give(at, size)
        self.resting.clear()


class Arena:
    """The words and what is known of them; one writer at a time, any number of readers in the kernel."""

    def __init__(self, words: Words, grace: Callable[[], None]) -> None:
        self.words = words
        self._grace = grace
        self._used: Counter[int] = Counter()
        self._boxes: dict[tuple[int, ...], Box] = {}
        self._space = Space(len(words) - SPARE_WORDS)
        if words[0]:
            self._survey()
        else:
            self._format()

    def _format(self) -> None:
        block = self.take(ROOTS)
        for place in range(ROOTS):
            self.words[block + place] = NO_RULES
        self.words[EMPTY_AT] = NO_RULES
        self.words[0] = block

    @property
    def root_block(self) -> int:
        """Where the roots are."""
        return int(self.words[0])

    def root(self, family: Family, group: int) -> int:
        """Return the slot of one tree's root."""
        return self.root_block + family.roots + group

    def take(self, size: int) -> int:
        """Return the place of `size` words for the caller to write.

        Raises:
            UserError: `table-full`.
        """
        at = self._space.take(size)
        if at is None and self._space.resting:
            self.rest()
            at = self._space.take(size)
        if at is None:
            raise table_full(f"all {self._space.end} words of the arena are taken",
                             "use fewer or narrower rules, or build the package with a larger arena")
        self._used[at] += 1
        return at

    def rest(self) -> None:
        """Wait until no packet reads what was released, and free it."""
        self._grace()
        self._space.settle()

    def share(self, packed: int) -> None:
        """Note that one slot more points at the node's leaf."""
        if packed != NO_RULES:
            self._used[unpack_node(packed).base - 1] += 1

    def release(self, at: int, size: int) -> None:
        """Note that one slot less points at the block; the last one gone, it rests."""
        self._used[at] -= 1
        if not self._used[at]:
            del self._used[at]
            self._space.resting.append((at, size))

    def release_leaf(self, packed: int, family: Family) -> None:
        """Note that one slot less points at the node's leaf."""
        if packed != NO_RULES:
            self.release(*self._leaf_block(unpack_node(packed), family))

    def _leaf_block(self, node: Node, family: Family) -> tuple[int, int]:
        """Return place and size: how many rules there are (those that no search reaches included), header, rules."""
        return node.base - 1, LEAF_WORDS + self.words[node.base - 1] * family.rule_words

    def give_back(self, at: int, size: int) -> None:
        """Free a block that was never published."""
        del self._used[at]
        self._space.give(at, size)

    def boxes(self, packed: int, family: Family) -> list[Box]:
        """Return all rules of a leaf, best first."""
        if packed == NO_RULES:
            return []
        at, size = self._leaf_block(unpack_node(packed), family)
        held, step = self.words[at + LEAF_WORDS : at + size].tolist(), family.rule_words
        return [self._box(tuple(held[first : first + step]), family) for first in range(0, len(held), step)]

    def _box(self, words: tuple[int, ...], family: Family) -> Box:
        """Return the box of these words; neighbouring leaves have most of their rules in common."""
        box = self._boxes.get(words)
        if box is None:
            if len(self._boxes) >= KNOWN_BOXES:
                self._boxes.clear()
            box = self._boxes[words] = unpack_rule(words, family)
        return box

    def iter_slots(self, slot: int) -> Iterator[tuple[int, Node]]:
        """Yield every slot from this one down, with its node."""
        open_slots = [slot]
        while open_slots:
            at = open_slots.pop()
            node = unpack_node(self.words[at])
            yield at, node
            if node.word != LEAF:
                open_slots += range(node.base, node.base + (1 << node.size))

    def _blocks(self, block: int) -> Iterator[tuple[int, int]]:
        """Yield place and size of every block that a root block leads to, once for each slot that points to it."""
        yield block, ROOTS
        for family in FAMILIES:
            for group in range(GROUPS):
                for _, node in self.iter_slots(block + family.roots + group):
                    if node.word != LEAF:
                        yield node.base, 1 << node.size
                    elif node.size:
                        yield self._leaf_block(node, family)

    def _survey(self) -> None:
        """Learn what is free from what is used."""
        sizes: dict[int, int] = {}
        for at, size in self._blocks(self.root_block):
            self._used[at] += 1
            sizes[at] = size
        end = HEADER_WORDS
        for at in sorted(sizes):
            self._space.give(end, at - end)
            end = at + sizes[at]
        self._space.top = end

    def release_all(self, block: int) -> None:
        """Let everything rest that a root block leads to."""
        for at, size in list(self._blocks(block)):
            self.release(at, size)

    def count_change(self) -> None:
        """Tell other processes that what they know is out of date."""
        self.words[1] += 1

    @property
    def changes(self) -> int:
        """How many changes there have been."""
        return int(self.words[1])


class Draft:
    """Blocks written and not yet published: all of them are used, or all are given back."""

    def __init__(self, arena: Arena, family: Family) -> None:
        self._arena = arena
        self._family = family
        self._taken: list[tuple[int, int]] = []

    def take(self, size: int) -> int:
        """Return the place of a new block."""
        at = self._arena.take(size)
        self._taken.append((at, size))
        return at

    def undo(self) -> None:
        """Give back all blocks."""
        for at, size in self._taken:
            self._arena.give_back(at, size)
        self._taken.clear()

    def block(self, words: list[int]) -> int:
        """Return the place of a new block that holds these words."""
        at = self.take(len(words))
        self._arena.words[at : at + len(words)] = memoryview(array("Q", words))
        return at

    def leaf(self, boxes: Sequence[Box], seen: int) -> int:
        """Return the node of a new leaf of at least one rule, of which a search looks at `seen`.

        Its header is that node itself, so that a search which is there already stays there.

        Raises:
            UserError: `table-full`: too many rules overlap.
        """
        if seen > MAX_LEAF_RULES:
            raise table_full(f"{seen} rules overlap so that hardly a bit of a packet tells them apart",
                             f"at most {MAX_LEAF_RULES} rules may be that alike")
        rules = [word for box in boxes for word in box.words]
        at = self.take(LEAF_WORDS + len(rules))
        node = pack_node(Node(at + 1, LEAF, 0, seen, boxes[0].priority))
        self._arena.words[at : at + LEAF_WORDS + len(rules)] = memoryview(array("Q", [len(boxes), node, *rules]))
        return node

    def place(self, tree: Tree) -> int:
        """Return the node of a tree written into the arena; leaves that stand several times in it are written once."""
        return self._place(tree, {})

    def _place(self, tree: Tree, written: dict[tuple[int, int], int]) -> int:
        if isinstance(tree, Cut):
            children = [self._place(child, written) for child in tree.children]
            return pack_node(Node(self.block(children), self._family.key_words[tree.word], tree.shift, tree.width))
        if not tree.boxes:
            return NO_RULES
        known = id(tree.boxes), tree.seen
        packed = written.get(known)
        if packed is None:
            packed = written[known] = self.leaf(tree.boxes, tree.seen)
        else:
            self._arena.share(packed)
        return packed
