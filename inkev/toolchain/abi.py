"""The numbers that C and the generated walk share: `bpf_common/include/inkev/abi.h` and the kernel's own, for Python.

Only numbers live here; a test compiles the header and compares.
"""

from __future__ import annotations

from dataclasses import dataclass

VERDICT_DROP = 0
VERDICT_FORWARD = 1
VERDICT_PASS = 2
VERDICT_TRANSMIT = 3
VERDICT_REDIRECT = 4
VERDICT_PUNT = 5
VERDICT_FLOOD = 6

ALREADY_REDIRECTED = VERDICT_REDIRECT << 16 | 1
"""A foreign program called a redirect helper itself: only its return code is left to be passed on."""

GRAPH_MISSED_TAIL_CALL = 0
GRAPH_HOP_LIMIT = 1
GRAPH_UNWIRED = 2
GRAPH_NO_DEVICE = 3
GRAPH_NO_CONTROL = 4
GRAPH_BAD_VERDICT = 6
GRAPH_DECLARED = 7
GRAPH_NOT_MEMBER = 8

FLAG_PARSED = 0x01
FLAG_HAS_L4 = 0x10
FLAG_CARRIED = 0x40

PACKET_BYTES = 64
PACKET = {
    "ctx": (0, "ptr"),
    "data": (8, "ptr"),
    "end": (16, "ptr"),
    "l3": (24, "ptr"),
    "l4": (32, "ptr"),
    "block": (40, "ptr"),
    "in_ifindex": (48, "i32"),
    "ether_type": (52, "i16"),
    "vlan": (54, "i16"),
    "l3_offset": (56, "i16"),
    "l4_offset": (58, "i16"),
    "l4_protocol": (60, "i8"),
    "flags": (61, "i8"),
    "in_port": (62, "i8"),
}
"""Field of `struct ikv_packet` to its offset and IR type."""

SAVED = {
    "out_ifindex": (0, "i32"),
    "mark": (4, "i32"),
    "tenant": (8, "i32"),
    "hash": (12, "i32"),
    "ether_type": (16, "i16"),
    "vlan": (18, "i16"),
    "l3_offset": (20, "i16"),
    "l4_offset": (22, "i16"),
    "l4_protocol": (24, "i8"),
    "flags": (25, "i8"),
}
"""Field of `struct ikv_saved` to its offset and IR type."""

PARSED_FIELDS = ("ether_type", "vlan", "l3_offset", "l4_offset", "l4_protocol", "flags")
"""What the parser finds: in the packet while a segment runs, and left in the block by the parser itself."""

BLOCK_GRAPH_DROPS = 128
FIRST_PRIVATE_REASON = 16

HELPER_LOOKUP = 1
HELPER_CPU = 8
HELPER_TAIL_CALL = 12
HELPER_CLONE_REDIRECT = 13
HELPER_REDIRECT = 23
HELPER_REDIRECT_MAP = 51

XDP_REDIRECT = 4
F_BROADCAST = 8
F_EXCLUDE_INGRESS = 16


@dataclass(frozen=True, slots=True)
class Side:
    """What differs between the two program types that a segment can be."""

    name: str
    context: str
    """The context's struct in C."""
    data: int
    end: int
    ifindex: int
    """Offsets in the context: first byte, last byte, and the interface that the hook is on."""
    saved: int
    """Where the block keeps the context that crosses a stitch point."""
    passing: int
    dropping: int
    redirecting: int
    continuing: frozenset[int]
    """Return codes of a foreign program that mean: go on."""
    foreign_drops: frozenset[int]
    foreign_transmits: frozenset[int]


XDP = Side("xdp", "xdp_md", 0, 4, 12, 0, 2, 1, 4, frozenset({2}), frozenset({0, 1}), frozenset({3}))
# In direct action RECLASSIFY and PIPE go on to the next filter, as UNSPEC does; STOLEN, QUEUED and TRAP consume.
TC = Side("tc", "__sk_buff", 76, 80, 40, 64, -1, 2, 7, frozenset({-1, 0, 1, 3}), frozenset({2, 4, 5, 8}), frozenset())
SIDES = {"xdp": XDP, "tc": TC}
