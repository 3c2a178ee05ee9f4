"""What the 64-bit words of the arena mean: nodes, and rules in leaves. The other half is <inkev/classify.h>."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inkev.datapath.classifier.rules import V4, V6, Match, Record
from inkev.datapath.classifier.tree import Box, Region, group, whole
from inkev.package.addresses import EVERYTHING, Network

WORST = 0xFFFFFF
"""A priority that every rule beats."""

LEAF = 15
INTERFACE = 0x100
_HALF = 0xFFFFFFFF
_WORD = (1 << 64) - 1

EMPTY_AT = 3
"""The word of the arena that leaves without rules point to (IKV_CLASS_EMPTY): it holds NO_RULES."""

_BASE = (1 << 22) - 1


class Node(NamedTuple):
    """One node, unpacked. `size` is a window's width in bits or a leaf's number of rules; `best` is a leaf's."""

    base: int
    word: int
    shift: int
    size: int
    best: int = WORST

    @property
    def is_leaf(self) -> bool:
        """Whether a leaf's header is at `base`, rather than nodes."""
        return self.word == LEAF


def pack_node(node: Node) -> int:
    """Return the node's 64 bits."""
    if node.is_leaf:
        return node.best << 32 | node.size << 26 | LEAF << 22 | node.base
    return ((1 << node.size) - 1) << 32 | node.shift << 27 | node.word << 22 | node.base


def unpack_node(packed: int) -> Node:
    """Return what 64 bits of the arena say."""
    base, word, upper = packed & _BASE, packed >> 22 & 15, packed >> 32
    if word == LEAF:
        return Node(base, LEAF, 0, packed >> 26 & 63, upper)
    return Node(base, word, packed >> 27 & 31, upper.bit_length())


NO_RULES = pack_node(Node(EMPTY_AT, LEAF, 0, 0, WORST))
"""The node of a leaf without rules."""


@dataclass(frozen=True, slots=True)
class Family:
    """What differs between IPv4 and IPv6."""

    bit: int
    roots: int
    """Place of its first root in the root block."""
    rule_words: int
    key_words: tuple[int, ...]
    """The words of the key that it uses: the words of a box, in their order."""
    sizes: tuple[int, ...]
    """Bits of these."""

    @property
    def region(self) -> Region:
        """Every packet of the family."""
        return whole(self.sizes)


IPV4 = Family(V4, 0, 4, (0, 4, 8, 9, 10, 11), (32, 32, 16, 16, 8, 8))
IPV6 = Family(V6, 4, 11, tuple(range(12)), (32,) * 8 + (16, 16, 8, 8))
FAMILIES = (IPV4, IPV6)


def tail(priority: int, number: int, action: int, *, interface: bool) -> int:
    """Return the last word of a rule, which alone is what a search gives back."""
    return priority << 40 | number << 16 | interface * INTERFACE | action


def group_of(match: Match) -> int:
    """Return the group that a rule is put in unless it would reach too far there."""
    return group(_specific_bits(match.src), _specific_bits(match.dst))


def _specific_bits(network: Network) -> int:
    """An IPv6 prefix counts from where sites begin to differ."""
    return network.prefixlen if network.max_prefixlen == 32 else network.prefixlen // 2


def box_of(record: Record, number: int, family: Family) -> Box:
    """Return the record as the family's trees hold it."""
    match = record.rule.match
    sport, dport = match.sport, match.dport
    ports = sport.low | (sport.high - sport.low) << 16 | dport.low << 32 | (dport.high - dport.low) << 48
    rest = match.protocol | match.tcp.value << 8 | match.port << 16
    mask = (match.protocol and 0xFF) | match.tcp.mask << 8 | (match.port and 0xFF) << 16
    last = tail(record.priority, number, record.rule.action, interface=bool(match.interface))
    pack = _addresses4 if family is IPV4 else _addresses6
    addresses, lengths = pack(_span(match.src), _span(match.dst))
    return unpack_rule((*addresses, ports, mask << 32 | rest | lengths, last), family)


def _span(network: Network) -> tuple[int, int]:
    """Return first address and number of bits that do not matter, in the size of the network's family."""
    if network == EVERYTHING:
        return 0, -1
    return int(network.network_address), network.max_prefixlen - network.prefixlen


def _addresses4(src: tuple[int, int], dst: tuple[int, int]) -> tuple[list[int], int]:
    source_bits, destination_bits = (32 if bits < 0 else bits for _, bits in (src, dst))
    return [dst[0] << 32 | src[0]], source_bits << 24 | destination_bits << 56


def _addresses6(src: tuple[int, int], dst: tuple[int, int]) -> tuple[list[int], int]:
    words = [half for address, _ in (src, dst) for half in (address >> 64, address & _WORD)]
    for _, bits in (src, dst):
        mask = (1 << 128) - (1 << (128 if bits < 0 else bits))
        words += [mask >> 64, mask & _WORD]
    return words, 0


def unpack_rule(words: Sequence[int], family: Family) -> Box:
    """Return the box of a rule as it stands in a leaf."""
    ports, rest, last = words[-3:]
    low, high = _ranges4(words[0], rest) if family is IPV4 else _ranges6(words)
    for shift in (0, 32):
        first = ports >> shift & 0xFFFF
        low.append(first)
        high.append(first + (ports >> shift + 16 & 0xFFFF))
    mask = rest >> 32
    for shift in (0, 16):
        exact = rest >> shift & 0xFF
        low.append(exact if mask >> shift & 0xFF else 0)
        high.append(exact if mask >> shift & 0xFF else 0xFF)
    return Box(last >> 40, tuple(low), tuple(high), not (mask >> 8 & 0xFF or last & INTERFACE), tuple(words))


def _ranges4(addresses: int, rest: int) -> tuple[list[int], list[int]]:
    low = [addresses & _HALF, addresses >> 32]
    return low, [low[0] | (1 << (rest >> 24 & 63)) - 1, low[1] | (1 << (rest >> 56)) - 1]


def _ranges6(words: Sequence[int]) -> tuple[list[int], list[int]]:
    low: list[int] = []
    high: list[int] = []
    for address, mask in zip(words[:4], words[4:8], strict=True):
        for shift in (32, 0):
            low.append(address >> shift & _HALF)
            high.append((address | ~mask) >> shift & _HALF)
    return low, high
