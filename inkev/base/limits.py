"""Every bound that inkev sets or that the kernel sets for it, with its reason."""

from __future__ import annotations

BLOCK_BYTES = 32768
"""Size of a graph's block on one CPU (context slots, counters); a power of two."""

BLOCK_HEADER_BYTES = 512
"""Context slots and graph-wide drop counters at the start of the block; instance counters follow."""

SLOTS = 256
"""Slots of a generation's prog array: one per stitch point."""

HOOKS = 64
"""Hooks of one type in a graph; the entry array has two slots for each."""

MAX_TAIL_CALLS = 33
"""The kernel's MAX_TAIL_CALL_CNT: more on an acyclic path is refused at plan time."""

MAPS_PER_PROGRAM = 64
"""The kernel's MAX_USED_MAPS: a segment that needs more is split."""

COMMON_REASONS = 16
"""Drop reasons that every instance has; its own start here (IKV_DROP_FIRST_PRIVATE)."""

PORTS = 32
"""Ports of one instance."""

MANIFEST_BYTES = 1 << 20
GRAPH_FILE_BYTES = 4 << 20
ARCHIVE_BYTES = 64 << 20
ARCHIVE_ENTRIES = 4096
ARCHIVE_ENTRY_BYTES = 32 << 20
LINK_SECONDS = 60
LINK_MEMORY_BYTES = 2 << 30
