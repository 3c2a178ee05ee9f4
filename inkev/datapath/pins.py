"""Where everything of a graph is pinned: `<bpffs>/<graph>/`, laid out as docs/architecture.md says.

Small facts that belong to one pin stand beside it as symbolic links (`PIN~layout`, `PIN~netns`): bpffs has no files,
and a link is made, read and replaced in one step.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inkev.base.paths import Root
from inkev.bpf.privileges import no_privileges
from inkev.graph.model import ProgramType

MARK = "~"
"""Separates a pin's name from that of a note beside it; no name of a graph, instance or map has it."""


def pin_name(name: str) -> str:
    """Return a map's name as bpffs takes it, which refuses dots: `.bss` becomes `_bss`."""
    return name.replace(".", "_")


def write_note(pin: Path, note: str, text: str) -> None:
    """Keep a short text beside a pin, in one step."""
    path, target = note_path(pin, note), text or "/"
    try:
        path.symlink_to(target)
    except FileExistsError:
        staged = pin.with_name(f"{pin.name}{MARK}new{note}")
        staged.unlink(missing_ok=True)
        staged.symlink_to(target)
        staged.rename(path)


def read_note(pin: Path, note: str) -> str:
    """Return the text kept beside a pin; empty where there is none."""
    try:
        return str(note_path(pin, note).readlink()).removeprefix("/")
    except FileNotFoundError:
        return ""


def note_path(pin: Path, note: str) -> Path:
    """Return where a note stands."""
    return pin.with_name(f"{pin.name}{MARK}{note}")


def remove_pin(pin: Path) -> None:
    """Take a pin and its notes away."""
    for path in (pin, *pin.parent.glob(f"{pin.name}{MARK}*")):
        path.unlink(missing_ok=True)


def names_in(folder: Path) -> list[str]:
    """Return the names pinned in a folder, notes left out; none where there is no folder.

    Raises:
        KernelError: `no-privileges`.
    """
    try:
        return sorted(name for name in os.listdir(folder) if MARK not in name)  # noqa: PTH208 - a fifth of the time
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise no_privileges(error) from None


@dataclass(frozen=True, slots=True)
class InstancePins:
    """One instance's maps."""

    folder: Path

    def map(self, name: str) -> Path:
        """Return where the map with this name is, or would be."""
        return self.folder / pin_name(name)


@dataclass(frozen=True, slots=True)
class GenerationPins:
    """One generation: its spec, prog arrays and programs, and maps made for it that no generation before it ran."""

    folder: Path

    @property
    def number(self) -> int:
        """Which generation."""
        return int(self.folder.name.removeprefix("gen"))

    @property
    def spec(self) -> Path:
        """The frozen map that describes it."""
        return self.folder / "spec"

    @property
    def instances(self) -> Path:
        """Folder of maps that become the instances' own once the generation runs."""
        return self.folder / "inst"

    def slots(self, program_type: ProgramType) -> Path:
        """Return the prog array of its stitch points."""
        return self.folder / f"slots_{program_type}"

    def segment(self, key: str) -> Path:
        """Return the program of one segment."""
        return self.folder / f"seg_{key}"

    def segment_keys(self) -> list[str]:
        """Return the keys of its segments."""
        return [name.removeprefix("seg_") for name in names_in(self.folder) if name.startswith("seg_")]

    def instance(self, instance: str) -> InstancePins:
        """Return the instance's maps made for this generation."""
        return InstancePins(self.instances / instance)


@dataclass(frozen=True, slots=True)
class GraphPins:
    """Everything of one graph."""

    folder: Path

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.folder.name

    @property
    def cell(self) -> Path:
        """The generation cell."""
        return self.folder / "cell"

    @property
    def block(self) -> Path:
        """The per-CPU block."""
        return self.folder / "block"

    @property
    def devices(self) -> Path:
        """Interface index by device number."""
        return self.folder / "devices"

    @property
    def members(self) -> Path:
        """Interface sets by device number."""
        return self.folder / "members"

    @property
    def hooks(self) -> Path:
        """Folder of the stubs' links."""
        return self.folder / "hooks"

    @property
    def instances(self) -> Path:
        """Folder of the instances' maps."""
        return self.folder / "inst"

    def entries(self, program_type: ProgramType) -> Path:
        """Return the prog array that the stubs jump through."""
        return self.folder / f"entries_{program_type}"

    def bcast(self, number: int) -> Path:
        """Return the device map of interface set `number`."""
        return self.folder / f"bcast{number}"

    def hook(self, hook: str, ifindex: int) -> Path:
        """Return the link of a hook's stub on one interface."""
        return self.hooks / f"{hook}-{ifindex}"

    def hook_pins(self) -> Iterator[tuple[str, int, Path]]:
        """Yield hook name, interface index and pin of everything attached."""
        for name in names_in(self.hooks):
            hook, _, ifindex = name.rpartition("-")
            yield hook, int(ifindex), self.hooks / name

    def generation(self, number: int) -> GenerationPins:
        """Return one generation's pins."""
        return GenerationPins(self.folder / f"gen{number}")

    def generations(self) -> list[GenerationPins]:
        """Return all generations that have a folder, oldest first."""
        found = [name for name in names_in(self.folder) if name.startswith("gen") and name[3:].isdigit()]
        return [GenerationPins(self.folder / name) for name in sorted(found, key=lambda name: int(name[3:]))]

    def instance(self, instance: str) -> InstancePins:
        """Return one instance's pins."""
        return InstancePins(self.instances / instance)

    def find_map(self, generations: tuple[int, ...], instance: str, name: str) -> Path | None:
        """Return the instance's map as the first of these generations that made it anew, else as it was, else None."""
        for number in generations:
            path = self.generation(number).instance(instance).map(name)
            if path.exists():
                return path
        path = self.instance(instance).map(name)
        return path if path.exists() else None

    def settle(self, generation: int) -> None:
        """Make the maps that were made for the running generation the instances' own."""
        made = self.generation(generation)
        for instance in names_in(made.instances):
            target = self.instance(instance).folder
            target.mkdir(parents=True, exist_ok=True)
            for path in sorted((made.instances / instance).iterdir(), reverse=True):  # a pin's notes go before it
                path.rename(target / path.name)
        remove_tree(made.instances)


def graph_pins(root: Root, graph: str) -> GraphPins:
    """Return where the graph's pins are."""
    return GraphPins(root.bpffs / graph)


def remove_tree(folder: Path) -> None:
    """Unpin everything in a folder, and the folder."""
    if folder.exists():
        shutil.rmtree(folder)
