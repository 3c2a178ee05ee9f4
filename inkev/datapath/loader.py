"""Loading a linked segment: its maps become the graph's, the surviving instances' or new ones, its program is pinned.

An instance's map is found by its pin. Beside the pin stands the fingerprint of its layout, written when it was made:
where the new program's differs, state would be misread, so the load is refused unless the caller gives the state up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from inkev.base.cpus import possible_cpus
from inkev.base.errors import KernelError
from inkev.bpf.libbpf import Object, ObjectMap
from inkev.bpf.maps import PER_CPU, Map
from inkev.bpf.pin import repin
from inkev.datapath.memory import make_bcast, read_cell
from inkev.datapath.observation import describe
from inkev.datapath.pins import GenerationPins, GraphPins, names_in, pin_name, read_note, write_note
from inkev.datapath.stub import ATTACH_TYPES, TYPES
from inkev.host.kernel import RunningSegment, SegmentLoad
from inkev.host.linking import LinkedMap
from inkev.package.verifier_log import explain_verifier_log

PROGRAM = "segment"
LAYOUT = "layout"
_BCAST = "ikv_bcast"
_READ_ONLY = ".rodata"
"""Data sections of constants: made anew with every object, for they are part of its code."""


@dataclass(frozen=True, slots=True)
class NewMap:
    """A map that this load makes, and where it will be pinned."""

    map: ObjectMap
    pin: Path
    fingerprint: str
    entries: Mapping[bytes, bytes]


@dataclass(frozen=True)
class Site:
    """Where one segment is being loaded."""

    pins: GraphPins
    made: GenerationPins
    segment: SegmentLoad

    @cached_property
    def _running(self) -> GenerationPins:
        return self.pins.generation(read_cell(self.pins)[0])

    @cached_property
    def _held(self) -> dict[str, dict[str, Path]]:
        return {}

    def find_state(self, owner: LinkedMap) -> Path | None:
        """Return the pinned map that holds the instance's state, or None where a new one is to be made."""
        if owner.name.startswith(_READ_ONLY):
            return None
        if owner.instance not in self._held:
            self._held[owner.instance] = self._list(owner.instance)
        return self._held[owner.instance].get(pin_name(owner.name))

    def _list(self, instance: str) -> dict[str, Path]:
        """Return the instance's pinned maps: those that this generation made, else those that run."""
        replaced = {pin_name(name.partition("/")[2]) for name in self.segment.replace_state
                    if name.startswith(f"{instance}/")}
        running = {name: home / name
                   for home in (self.pins.instance(instance).folder, self._running.instance(instance).folder)
                   for name in names_in(home) if name not in replaced}
        made = self.made.instance(instance).folder
        return running | {name: made / name for name in names_in(made)}

    def fingerprint(self, owner: LinkedMap) -> str:
        """Return the fingerprint of a map's layout as the program declares it; empty where nobody says."""
        layout = self.segment.layouts.get(owner.instance, {}).get(owner.name)
        return layout.fingerprint if layout else ""


def load_segment(pins: GraphPins, generation: int, segment: SegmentLoad, logs: Path) -> RunningSegment:
    """Load one segment and pin it in the generation.

    Args:
        pins: the graph's.
        generation: which is being staged.
        segment: what to load.
        logs: folder for the verifier's log where it refuses.

    Raises:
        KernelError: `verifier-refused`, `btf-refused`, `map-layout-changed`, ...: nothing of it stays.
    """
    site = Site(pins, pins.generation(generation), segment)
    with Object.open(segment.object.elf) as opened:
        new = list(_bind_maps(site, opened))
        try:
            opened.load(TYPES[segment.program_type], ATTACH_TYPES[segment.program_type])
        except KernelError as refusal:
            raise explain_refusal(refusal, segment, logs) from None
        with opened.take_program(PROGRAM) as program, ExitStack() as undo:
            for item in new:
                _pin_map(item, undo)
            repin(program, site.made.segment(segment.key))
            undo.pop_all()
            return describe(program, segment.key, segment.object.digest)


def explain_refusal(refusal: KernelError, segment: SegmentLoad, logs: Path) -> KernelError:
    """Return the kernel's refusal as one of this segment: the author's line, and where the whole log is kept."""
    first = refusal.faults[0]
    names = sorted({item.instance for item in segment.object.maps if item.instance} | set(segment.layouts))
    where, why, hint = ", ".join(names), first.why, first.hint
    if first.code == "verifier-refused":
        complaint = explain_verifier_log(refusal.log)
        where, why = complaint.where or where, str(complaint)
        hint = f"the verifier's whole log: {_keep_log(logs, segment.object.digest, refusal.log)}"
    return KernelError(first.code, f"{first.message}: segment {segment.key}", errno=refusal.errno, log=refusal.log,
                       where=where, why=why, hint=hint)


def _keep_log(logs: Path, digest: str, log: str) -> Path:
    logs.mkdir(parents=True, exist_ok=True)
    path = logs / f"{digest[:16]}.log"
    path.write_text(log)
    return path


def _pin_map(item: NewMap, undo: ExitStack) -> None:
    item.pin.parent.mkdir(parents=True, exist_ok=True)
    with item.map.take() as held:
        for key, value in item.entries.items():
            held.update(key, _on_every_cpu(held, value))
        repin(held, item.pin)
    undo.callback(item.pin.unlink, missing_ok=True)
    write_note(item.pin, LAYOUT, item.fingerprint)


def _on_every_cpu(held: Map, value: bytes) -> bytes:
    if held.info.type not in PER_CPU:
        return value
    return value.ljust(-(-len(value) // 8) * 8, bytes(1)) * possible_cpus()


def _bind_maps(site: Site, opened: Object) -> Iterator[NewMap]:
    """Give the object the maps that exist; yield those that loading it will make."""
    owners = {item.symbol: item for item in site.segment.object.maps}
    for held in opened.iter_maps():
        owner = owners.get(held.name)
        if owner is None:
            continue  # constants that members share
        if not owner.instance:
            with Map.open(_graph_map(site, owner.name)) as found:
                held.reuse(found)
        elif (path := site.find_state(owner)) is not None:
            _reuse_state(path, site, owner, held)
        else:
            pin = site.made.instance(owner.instance).map(owner.name)
            entries = site.segment.entries.get(owner.instance, {}).get(owner.name, {})
            yield NewMap(held, pin, site.fingerprint(owner), entries)


def _graph_map(site: Site, name: str) -> Path:
    pins = site.pins
    if name.startswith(_BCAST):
        return make_bcast(pins, int(name.removeprefix(_BCAST)))
    if name == "ikv_slots":
        return site.made.slots(site.segment.program_type)
    known = {"ikv_block": pins.block, "ikv_devices": pins.devices, "ikv_members": pins.members}
    try:
        return known[name]
    except KeyError:
        raise KernelError("bad-object", f"the object asks for a graph map {name}, which no graph has",
                          where=f"segment {site.segment.key}") from None


def _reuse_state(path: Path, site: Site, owner: LinkedMap, held: ObjectMap) -> None:
    """Give the object the map that the instance's state lives in.

    Raises:
        KernelError: `map-layout-changed`.
    """
    with Map.open(path) as found:
        difference = _difference(found, read_note(path, LAYOUT), site.fingerprint(owner), held)
        if difference:
            raise KernelError("map-layout-changed", f"map {owner.name} of {owner.instance} has another layout now",
                              where=str(path), why=difference,
                              hint="give --discard-state to start with an empty map, or keep the version that made it")
        held.reuse(found)


def _difference(found: Map, known: str, fingerprint: str, held: ObjectMap) -> str:
    """Return how a pinned map differs from what the object declares; empty where it does not."""
    if known and fingerprint and known != fingerprint:
        return f"its layout was {known[:12]}, the program declares {fingerprint[:12]}"
    info = found.info
    names = ("type", "key size", "value size", "entries")
    there = (info.type, info.key_size, info.value_size, info.max_entries)
    changed = [f"{name} {old} there, {new} declared"
               for name, old, new in zip(names, there, held.shape[:4], strict=True)
               if old != new and not (name == "entries" and new == 0)]
    return ", ".join(changed)
