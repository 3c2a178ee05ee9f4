"""The kernel side of one root: every verb of `inkev.host.kernel.Kernel`, each a step into the module that does it.

Keeps no state of its own beyond which generation it is staging, programs that may come back, and which namespaces it
was asked about: what it answers stands in the kernel. What only some verbs need is imported by them: a command that
changes nothing loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from inkev.base.errors import KernelError
from inkev.base.paths import BPFFS, Root
from inkev.bpf.features import EVERY_GRAPH, require
from inkev.bpf.membarrier import wait_for_programs
from inkev.bpf.privileges import no_privileges
from inkev.bpf.program import Program
from inkev.datapath import generations, memory
from inkev.datapath.hooks import HookDriver
from inkev.datapath.interfaces import read_interfaces
from inkev.datapath.loaded import LoadedPrograms
from inkev.datapath.observation import observe
from inkev.datapath.pins import GraphPins, graph_pins, names_in, remove_tree
from inkev.datapath.specs import write_spec
from inkev.graph.model import Hook, ProgramType
from inkev.graph.spec import Spec
from inkev.host.kernel import AttachedHook, Interface, Running, RunningSegment, SegmentLoad, TableHandle
from inkev.package.layout import MapLayout
from inkev.package.manifest import Table


class LinuxKernel:
    """The running kernel, as far as one root goes."""

    def __init__(self, root: Root, *, clsact: bool = False) -> None:
        """Reach for nothing yet.

        Args:
            root: whose pins these are.
            clsact: attach tc hooks by filters even where the kernel has TCX.
        """
        self._root = root
        self._clsact = clsact
        self._staged: dict[str, int] = {}
        self._shared: dict[str, tuple[int, int]] = {}
        """Graph to the generation that is being staged on the prog arrays of another: that one first."""
        self._loaded = LoadedPrograms()
        self._namespaces: dict[str, None] = {}

    def close(self) -> None:
        """Let programs go that were held in case they come back."""
        self._loaded.clear()

    def preflight(self, features: Iterable[str] = ()) -> None:
        """Raise unless there are privileges, bpffs, and the kernel features that every graph needs and those named."""
        if not _is_bpffs(self._root.bpffs.parent):
            raise KernelError("no-bpffs", f"no BPF file system is mounted at {BPFFS}",
                              hint=f"mount -t bpf bpf {BPFFS}")
        try:
            require((*EVERY_GRAPH, *features))
            self._root.bpffs.mkdir(exist_ok=True)
        except PermissionError as error:
            raise no_privileges(error) from None

    def graphs(self) -> list[str]:
        """Return the names of the graphs that run under this root."""
        return [name for name in names_in(self._root.bpffs) if self.generation(name)]

    def generation(self, graph: str) -> int:
        """Return the generation that the cell names, 0 where nothing runs."""
        return memory.read_cell(self._pins(graph))[0]

    def observe(self, graph: str) -> Running | None:
        """Return what runs, or None."""
        return observe(self._pins(graph), self._hooks(graph))

    def interfaces(self, hook: Hook) -> list[Interface]:
        """Return the interfaces that the hook names now, in its namespace."""
        self._namespaces[hook.netns] = None
        return read_interfaces(hook, frozenset(self._own_programs()))

    def open_graph(self, graph: str) -> None:
        """Make sure of the graph's folder, generation cell, block, device array and entry arrays."""
        pins = self._pins(graph)
        if pins.folder.exists() and not pins.cell.exists():
            self.remove_graph(graph)  # a leftover: its stubs read a cell that nobody can write any more
        try:
            memory.open_memory(pins)
        except PermissionError as error:
            raise no_privileges(error) from None

    def stage(self, graph: str, generation: int) -> None:
        """Make the generation's folder with prog arrays of its own."""
        generations.stage(self._pins(graph), generation)
        self._staged[graph] = generation
        self._shared.pop(graph, None)
        self._loaded.clear()

    def share(self, graph: str, source: int, target: int) -> None:
        """Make generation `target` on the prog arrays of `source`."""
        generations.share(self._pins(graph), source, target)
        self._staged[graph] = target
        self._shared[graph] = (source, target)

    def load(self, graph: str, generation: int, segment: SegmentLoad) -> RunningSegment:
        """Load one segment and pin it in the generation."""
        from inkev.datapath.loader import load_segment

        pins = self._pins(graph)
        if self._shared.get(graph, (0, 0))[1] != generation:
            return load_segment(pins, generation, segment, self._root.state / "verifier")
        found = self._loaded.pin_again(pins, generation, segment)
        if found is None:
            found = load_segment(pins, generation, segment, self._root.state / "verifier")
            self._loaded.keep(pins, generation, segment)
        return found

    def keep(self, graph: str, source: int, target: int, key: str, new_key: str = "") -> None:
        """Carry a segment from one generation into another."""
        portable = self._shared.get(graph) == (source, target)
        generations.keep(self._pins(graph), source, target, key, new_key, portable=portable)

    def set_slot(self, graph: str, generation: int, program_type: ProgramType, number: int, key: str) -> None:
        """Point a slot of the generation's prog array at one of its segments."""
        generations.set_slot(self._pins(graph), generation, program_type, number, key)

    def set_entry(self, graph: str, generation: int, program_type: ProgramType, hook_number: int, bank: int,
                  key: str) -> None:
        """Point a hook's entry in `bank` at one of the generation's segments."""
        generations.set_entry(self._pins(graph), generation, program_type, 2 * hook_number + bank, key)

    def set_devices(self, graph: str, devices: Mapping[int, int]) -> None:
        """Write interface indexes into the device array: place to ifindex."""
        memory.write_devices(self._pins(graph), devices)

    def set_members(self, graph: str, place: int, ifindexes: Iterable[int], netns: str = "") -> None:
        """Write the members of the interface set at `place`."""
        memory.write_members(self._pins(graph), place, ifindexes, netns)

    def clear_counters(self, graph: str, offset: int, length_bytes: int) -> None:
        """Zero a region of the block on every CPU."""
        memory.clear_counters(self._pins(graph), offset, length_bytes)

    def attach(self, graph: str, hook_name: str, hook: Hook, number: int) -> list[AttachedHook]:
        """Attach the hook's stub wherever it is missing and pin the links."""
        return self._hooks(graph).attach(hook_name, hook, number)

    def detach(self, graph: str, hook_name: str) -> None:
        """Take the hook's stub off all its interfaces."""
        self._hooks(graph).detach(hook_name)

    def write_spec(self, graph: str, generation: int, spec: Spec) -> None:
        """Pin the frozen map that describes the generation."""
        made = self._pins(graph).generation(generation)
        made.folder.mkdir(parents=True, exist_ok=True)
        write_spec(made.spec, graph, spec)

    def flip(self, graph: str, generation: int, bank: int) -> None:
        """Store the generation cell: from here on packets entering a hook take it."""
        memory.store_cell(self._pins(graph), generation, bank)

    def grace(self) -> None:
        """Return once no CPU runs a program that it entered before the call."""
        wait_for_programs()

    def retire(self, graph: str, generation: int) -> None:
        """Unpin a generation that the cell does not name."""
        generations.retire(self._pins(graph), generation)
        if self._staged.get(graph) == generation:
            del self._staged[graph]
            self._shared.pop(graph, None)

    def drop_instance(self, graph: str, instance: str) -> None:
        """Unpin the instance's maps: its state is gone."""
        pins = self._pins(graph)
        running, _ = memory.read_cell(pins)
        for folder in (pins.generation(running).instance(instance).folder, pins.instance(instance).folder):
            remove_tree(folder)

    def remove_graph(self, graph: str) -> None:
        """Unpin everything of a graph whose hooks are detached."""
        pins = self._pins(graph)
        for hook in {hook for hook, _, _ in pins.hook_pins()}:
            self.detach(graph, hook)
        pins.cell.unlink(missing_ok=True)  # first: a folder without a cell is a leftover, never a running graph
        remove_tree(pins.folder)
        self._staged.pop(graph, None)
        self._shared.pop(graph, None)
        self._loaded.clear()

    def table(self, graph: str, instance: str, table: Table, layouts: Mapping[str, MapLayout]) -> TableHandle:
        """Open a table of a pinned instance: as it is being staged by this object, else as it runs."""
        from inkev.datapath.tables import TableSite, open_table

        pins = self._pins(graph)
        running, _ = memory.read_cell(pins)
        staged = self._staged.get(graph, running)
        return open_table(TableSite(pins, (staged, running), instance, tuple(self._namespaces)), table, layouts)

    def read_counters(self, graph: str, offset: int, count: int) -> list[int]:
        """Return `count` 8-byte counters from `offset`, each summed over CPUs."""
        return memory.read_counters(self._pins(graph), offset, count)

    def test_run(self, graph: str, generation: int, key: str, packet: bytes, repeat: int = 1) -> tuple[int, bytes, int]:
        """Run one segment on a packet: verdict, packet after it, ns a run."""
        with Program.open(self._pins(graph).generation(generation).segment(key)) as program:
            result = program.test_run(packet, repeat=repeat)
        return result.verdict, result.packet, result.duration_ns

    def _pins(self, graph: str) -> GraphPins:
        return graph_pins(self._root, graph)

    def _hooks(self, graph: str) -> HookDriver:
        return HookDriver(self._pins(graph), clsact=self._clsact)

    def _own_programs(self) -> Iterable[int]:
        for graph in names_in(self._root.bpffs):
            yield from self._hooks(graph).program_ids()


def _is_bpffs(folder: Path) -> bool:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return any(fields[1] == str(folder) and fields[2] == "bpf" for fields in mounts)

