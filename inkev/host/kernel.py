"""What the host asks of the kernel. One implementation: `inkev.datapath`; verbs are those of a plan's actions.

Every verb either succeeds or leaves things as they were, and may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from inkev.graph.model import Hook, ProgramType
from inkev.graph.spec import Spec
from inkev.host.linking import LinkedObject
from inkev.package.layout import MapLayout
from inkev.package.manifest import Table


class AttachedHook(msgspec.Struct, frozen=True, kw_only=True):
    """One interface that a hook's stub is attached to, as the kernel says."""

    hook: str
    interface: str
    ifindex: int
    how: str
    """`xdp-native`, `xdp-generic`, `tcx` or `clsact`."""
    link_id: int = 0
    program_id: int = 0
    alive: bool = True


class RunningSegment(msgspec.Struct, frozen=True, kw_only=True):
    """One loaded program."""

    key: str
    program_id: int
    digest: str
    verified_instructions: int = 0
    jited_bytes: int = 0
    run_count: int = 0
    run_time_ns: int = 0


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel holds of one graph, read from the kernel and nowhere else."""

    spec: Spec
    hooks: tuple[AttachedHook, ...]
    segments: tuple[RunningSegment, ...]
    instances: dict[str, tuple[str, ...]]
    """Instance to the names of its pinned maps."""
    leftovers: tuple[str, ...] = ()
    """Staged generations and other pins that nothing runs: what a killed command left."""


class SegmentLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A linked segment to be loaded, with what its maps must become."""

    key: str
    program_type: ProgramType
    object: LinkedObject
    layouts: dict[str, dict[str, MapLayout]] = {}
    """Instance to map name to layout."""
    replace_state: tuple[str, ...] = ()
    """`instance/map` whose pinned map has another layout and is to be made anew; the old stays until retire."""
    entries: dict[str, dict[str, dict[bytes, bytes]]] = {}
    """Instance to map name to what a map that this load makes holds from the start; one that is kept is left alone."""


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface as far as hooks care."""

    name: str
    ifindex: int
    kind: str
    """veth, bridge, vxlan, tun, ... or `physical`."""
    up: bool
    xdp_native: bool
    transmit_xdp: bool
    """Frames redirected to it by XDP arrive: for a veth its peer has NAPI (GRO on, or a program of its own)."""
    partial_checksums: bool
    """Its peer's local senders leave checksums to the device, so XDP must not redirect what they send."""
    peer: str = ""
    """The peer as `name` or `netns/name`, for hints."""
    xdp_holder: str = ""
    """Description of the XDP program attached by somebody else; empty where there is none."""


class TableHandle(Protocol):
    """An operator-editable table of a running (or staged) instance."""

    def rows(self) -> list[dict[str, Any]]:
        """Return every row, columns in the manifest's order, values in their text form."""
        ...

    def add(self, row: Mapping[str, Any]) -> None:
        """Add or overwrite one row."""
        ...

    def remove(self, row: Mapping[str, Any]) -> None:
        """Remove the row with the same key columns.

        Raises:
            UserError: `no-such-row`.
        """
        ...

    def load(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Make the table hold exactly these rows; a packet sees the old or the new set where the engine can."""
        ...


class Kernel(Protocol):
    """The kernel side of one root."""

    def close(self) -> None:
        """Give back what is held in case it is needed again; every verb works as before."""
        ...

    def preflight(self, features: Iterable[str] = ()) -> None:
        """Raise unless there are privileges, bpffs, and the kernel features that every graph needs and those named."""
        ...

    def graphs(self) -> list[str]:
        """Return the names of the graphs that run under this root."""
        ...

    def generation(self, graph: str) -> int:
        """Return the generation that the cell names, 0 where nothing runs: cheap, so observations may be kept."""
        ...

    def observe(self, graph: str) -> Running | None:
        """Return what runs, or None."""
        ...

    def interfaces(self, hook: Hook) -> list[Interface]:
        """Return the interfaces that the hook names now, in its namespace.

        Raises:
            UserError: `no-such-interface` (never for a pattern, which may match none).
        """
        ...

    def open_graph(self, graph: str) -> None:
        """Make sure of the graph's folder, generation cell, block, device array and entry arrays."""
        ...

    def stage(self, graph: str, generation: int) -> None:
        """Make the generation's folder with prog arrays of its own."""
        ...

    def share(self, graph: str, source: int, target: int) -> None:
        """Make generation `target` on the prog arrays of `source` (pinned in both): the start of a hot change.

        Setting a slot of either then moves traffic at once; retiring `source` leaves the arrays to `target`.
        """
        ...

    def load(self, graph: str, generation: int, segment: SegmentLoad) -> RunningSegment:
        """Load one segment and pin it in the generation; maps of surviving instances are reused, new ones pinned.

        Raises:
            KernelError: `verifier-refused`, `map-layout-changed`, ...; nothing of it stays.
        """
        ...

    def keep(self, graph: str, source: int, target: int, key: str, new_key: str = "") -> None:
        """Carry a segment from one generation into another, under `new_key` where that is given.

        Inserting before a segment moves it: what was behind `fw:inside` is behind `limit:out` afterwards, the same
        program.
        """
        ...

    def set_slot(self, graph: str, generation: int, program_type: ProgramType, number: int, key: str) -> None:
        """Point a slot of the generation's prog array at one of its segments."""
        ...

    def set_entry(self, graph: str, generation: int, program_type: ProgramType, hook_number: int, bank: int,
                  key: str) -> None:
        """Point a hook's entry in `bank` at one of the generation's segments."""
        ...

    def set_devices(self, graph: str, devices: Mapping[int, int]) -> None:
        """Write interface indexes into the device array: place to ifindex."""
        ...

    def set_members(self, graph: str, place: int, ifindexes: Iterable[int], netns: str = "") -> None:
        """Write the members of the interface set at `place`; indexes are those of the hook's namespace."""
        ...

    def clear_counters(self, graph: str, offset: int, length_bytes: int) -> None:
        """Zero a region of the block on every CPU."""
        ...

    def attach(self, graph: str, hook_name: str, hook: Hook, number: int) -> list[AttachedHook]:
        """Attach the hook's stub wherever it is missing and pin the links.

        Raises:
            ConflictError: `hook-taken`: somebody else's program is there; it stays.
        """
        ...

    def detach(self, graph: str, hook_name: str) -> None:
        """Take the hook's stub off all its interfaces."""
        ...

    def write_spec(self, graph: str, generation: int, spec: Spec) -> None:
        """Pin the frozen map that describes the generation."""
        ...

    def flip(self, graph: str, generation: int, bank: int) -> None:
        """Store the generation cell, (generation << 1) | bank: from here on packets entering a hook take it."""
        ...

    def grace(self) -> None:
        """Return once no CPU runs a program that it entered before the call."""
        ...

    def retire(self, graph: str, generation: int) -> None:
        """Unpin a generation that the cell does not name."""
        ...

    def drop_instance(self, graph: str, instance: str) -> None:
        """Unpin the instance's maps: its state is gone."""
        ...

    def remove_graph(self, graph: str) -> None:
        """Unpin everything of a graph whose hooks are detached."""
        ...

    def table(self, graph: str, instance: str, table: Table, layouts: Mapping[str, MapLayout]) -> TableHandle:
        """Open a table of a pinned instance."""
        ...

    def read_counters(self, graph: str, offset: int, count: int) -> list[int]:
        """Return `count` 8-byte counters from `offset`, each summed over CPUs."""
        ...

    def test_run(self, graph: str, generation: int, key: str, packet: bytes, repeat: int = 1) -> tuple[int, bytes, int]:
        """Run one segment on a packet: verdict, packet after it, ns a run (BPF_PROG_TEST_RUN)."""
        ...
