"""What the host asks of a linker, and gets back."""

from __future__ import annotations

from typing import Protocol

import msgspec

from inkev.base.cpus import block_places
from inkev.graph.partition import Segment


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One instance to be linked into a segment, with everything that becomes a constant."""

    instance: str
    program: str
    dialect: str
    entry: str
    bitcode: bytes
    """As `inkev build` wrote it for the segment's program type."""
    config: bytes = b""
    """The configuration struct, laid out by the program's Layout; empty where it has none."""
    counters: int = 0
    """Byte offset of the instance's region in the block: packets, common and private drops, metrics; 8 bytes each."""
    reasons: int = 0
    metrics: int = 0
    """How many private reasons and metrics the manifest declares."""
    rodata: dict[str, bytes] = {}
    map_sizes: dict[str, int] = {}
    codes: dict[int, str] = {}
    """Foreign return code to `pass`, `drop`, `transmit`, `redirect` or `port:N`."""
    flood_ports: tuple[int, ...] = ()
    """Numbers of the output ports marked `flood`; a flood leaves by those of them that exits lead from."""
    seed: int = 0
    """Not 0 only in packet tests: time and random become functions of it."""
    source_root: str = ""
    """The package's folder: where a line of C named in debug info is found."""


class LinkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A segment and its members, in the order of `segment.members`.

    An instance with several programs stands several times, told apart by (instance, program).
    """

    graph: str
    segment: Segment
    members: tuple[Member, ...]
    entries: dict[str, str] = {}
    """`instance:port number` to program name, for instances with several programs."""
    block_places: int = msgspec.field(default_factory=block_places)
    """How many per-CPU blocks the graph's `block` holds on this machine; a power of two."""


class LinkedMap(msgspec.Struct, frozen=True, kw_only=True):
    """A map of the object and whose it is."""

    symbol: str
    """Its name in the object (libbpf's `bpf_map__name`). For the graph's devices it is `.data.ikv_devices`: libbpf
    gives direct access to a value only for data sections, and `bpf_map__reuse_fd` serves those too."""
    instance: str
    """Empty for the graph's own, whose `name` is ikv_block, ikv_devices, ikv_members, ikv_bcast<N> or ikv_slots."""
    name: str
    """The author's name: `flows`, `.bss`, `.data`, `.rodata`."""


class LinkedObject(msgspec.Struct, frozen=True, kw_only=True):
    """A segment as a BPF ELF object with one program, named `segment`."""

    digest: str
    """SHA-256 over everything that went in: cache key and identity."""
    elf: bytes
    maps: tuple[LinkedMap, ...]
    license: str
    pipeline: str
    """Which rung of the ladder made it: `light-v3`, `full-v3`, `light-v2`."""
    link_ms: float = 0.0
    warnings: tuple[str, ...] = ()


class Linker(Protocol):
    """Joins bitcode; runs LLVM where it can hurt nobody."""

    def digest(self, request: LinkRequest, pipeline: str = "light-v3") -> str:
        """Return the digest the object would have, without linking."""
        ...

    def link(self, request: LinkRequest, pipeline: str = "light-v3") -> LinkedObject:
        """Return the object, from the cache where it is there.

        Raises:
            UserError: the bitcode cannot be linked (inline assembly, alias, missing entry, LLVM gave up).
        """
        ...

    def warm(self) -> None:
        """Start the worker in the background, so that the first link does not wait for LLVM to load."""
        ...

    def close(self) -> None:
        """End the worker."""
        ...
