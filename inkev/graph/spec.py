"""What runs, described by itself: the value that every generation pins in the kernel as canonical JSON."""

from __future__ import annotations

import msgspec

from inkev.graph.model import Graph
from inkev.graph.partition import Partition


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """The exact package that an instance runs."""

    package: str
    version: str
    digest: str


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """Graph, lock and partition of one generation: all that is needed to describe, compare and rebuild it."""

    schema: int = 1
    inkev: str
    generation: int
    graph: Graph
    lock: dict[str, Locked]
    """Instance to package."""
    cuts: tuple[str, ...] = ()
    """Live cuts: sources of edges where a hot change left a stitch point that the file does not declare."""
    partition: Partition
    objects: dict[str, str]
    """Segment key to the digest of its linked object."""
    counters: dict[str, int]
    """Instance to the byte offset of its region in the block."""
    bank: int
    """Which of a hook's two entries this generation uses."""
    owned_tables: dict[str, tuple[str, ...]] = {}
    """Instance to the tables that the graph file writes."""
    file: str = ""


def encode_spec(spec: Spec) -> bytes:
    """Return the canonical JSON: sorted keys, no blanks; equal specs give equal bytes."""
    return msgspec.json.encode(spec, order="sorted")


def decode_spec(raw: bytes) -> Spec:
    """Return the spec that `encode_spec` wrote.

    Raises:
        msgspec.DecodeError: where the bytes are not a spec of this schema.
    """
    return msgspec.json.decode(raw, type=Spec)
