"""From what the kernel holds to what is wanted: the ordered actions; decides, changes nothing.

Two kinds of change. Where at most one slot or entry that carries traffic would differ, the change is hot: the new
generation shares the running one's prog arrays and that one is set. Otherwise everything is staged in arrays of its
own, in the other bank, and the cell moves all hooks at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from inkev.graph.model import Hook, ProgramType
from inkev.graph.partition import Segment, Slot
from inkev.graph.spec import Spec
from inkev.graph.validate import region_bytes
from inkev.host.actions import (
    AnyAction,
    Attach,
    Claim,
    ClearCounters,
    Detach,
    DropInstance,
    Flip,
    Grace,
    Keep,
    Load,
    LoadTable,
    OpenGraph,
    Plan,
    RemoveGraph,
    Retire,
    SetDevices,
    SetEntry,
    SetMembers,
    SetSlot,
    Share,
    Stage,
    WriteSpec,
)
from inkev.host.counting import overlap
from inkev.host.desired import Desired
from inkev.host.kernel import Running
from inkev.host.surroundings import Surroundings

Place = tuple[str, ProgramType, int]
"""`slot` or `entry`, program type, number: where traffic is led to a program."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a plan depends on besides graph and kernel."""

    surroundings: Surroundings | None = None
    """None where hooks and devices are those that run: nothing about them is planned."""
    tables: tuple[LoadTable, ...] = ()
    replace_state: tuple[str, ...] = ()
    """`instance/map` to be made anew."""


def plan_change(desired: Desired, running: Running | None, around: Circumstances) -> Plan:
    """Return the actions that make the kernel hold what is desired; none where it does."""
    planner = _Planner(desired, running, around)
    return planner.plan()


def plan_clearance(graph: str) -> Plan:
    """Return what takes a graph out of which pins are missing, so that nobody can say what it was."""
    return Plan(graph=graph, generation=0, actions=(RemoveGraph(),), changes=(f"clear what is left of {graph}",))


def plan_removal(running: Running) -> Plan:
    """Return the actions that take a graph out of the kernel."""
    spec = running.spec
    actions: list[AnyAction] = [
        Detach(hook_name=name, hook=hook, number=spec.partition.hooks[name])
        for name, hook in sorted(spec.graph.hooks.items())
    ]
    return Plan(
        graph=spec.graph.name,
        generation=0,
        actions=(*actions, Grace(), RemoveGraph()),
        changes=(f"take {spec.graph.name} out of the kernel",),
    )


class _Planner:
    def __init__(self, desired: Desired, running: Running | None, around: Circumstances) -> None:
        self._desired = desired
        self._spec = desired.spec
        self._running = running
        self._old = running.spec if running else None
        self._around = around
        self._new_live = _live(self._spec)
        self._old_live = _live(self._old) if self._old else {}
        self._moved = [
            place for place, key in self._new_live.items() if place in self._old_live and not self._same(place, key)
        ]
        self.hot = self._old is not None and len(self._moved) <= 1 and not around.replace_state

    def plan(self) -> Plan:
        changes = tuple(describe_changes(self._old, self._spec)) + tuple(self._drift())
        if self._old is not None and not changes and _content(self._spec) == _content(self._old):
            return Plan(graph=self._spec.graph.name, generation=self._old.generation)
        bank = self._spec.bank if self.hot or self._old is None else 1 - self._spec.bank
        self._spec = msgspec.structs.replace(self._spec, bank=bank)
        actions = (
            *self._stage(),
            *self._surroundings(),
            *self._carry(),
            *self._detach(),
            *self._flip(),
            *self._after(),
        )
        return Plan(
            graph=self._spec.graph.name,
            generation=self._spec.generation,
            actions=actions,
            changes=changes or ("link what stands apart",),
            flips=len(self._moved),
        )

    def _same(self, place: Place, key: str) -> bool:
        old = self._old
        assert old is not None
        return old.objects[self._old_live[place]] == self._spec.objects[key]

    def _drift(self) -> Iterator[str]:
        """Say what stands beside the spec and is not as it says."""
        for action in self._around.tables:
            yield f"table {action.instance}.{action.table} differs from the file"
        if self._running is not None and self._around.surroundings is not None:
            for name in self._unattached():
                yield f"hook {name} is not attached everywhere"

    def _unattached(self) -> list[str]:
        """Return the hooks whose interfaces are not exactly those that the kernel has them on."""
        assert self._running is not None and self._around.surroundings is not None  # noqa: PT018 - by the caller
        attached: dict[str, set[int]] = {}
        for hook in self._running.hooks:
            if hook.alive:
                attached.setdefault(hook.hook, set()).add(hook.ifindex)
        return [
            name
            for name in sorted(self._spec.graph.hooks)
            if {i.ifindex for i in self._around.surroundings.interfaces[name]} != attached.get(name, set())
        ]

    def _stage(self) -> Iterator[AnyAction]:
        generation, old = self._spec.generation, self._old
        if old is None:
            yield OpenGraph(new=True)
        yield (
            Share(source=old.generation, generation=generation) if self.hot and old else Stage(generation=generation)
        )
        yield from self._claim()

    def _carry(self) -> Iterator[AnyAction]:
        """Keep or load every segment and lead every place to its own; what stays comes after what moves traffic."""
        kept = self._kept()
        carried = [self._keep_or_load(segment, kept) for segment in self._spec.partition.segments]
        standing = [action for action in carried if self.hot and _stands(action)]
        yield from (action for action in carried if action not in standing)
        for place, key in self._new_live.items():
            if place not in self._moved or not self.hot:
                yield from self._point(place, key)
        yield from self._around.tables
        if self.hot:
            for place in self._moved:  # from here on packets take the new way
                yield from self._point(place, self._new_live[place])
        yield from standing
        yield WriteSpec(spec=self._spec)

    def _claim(self) -> Iterator[AnyAction]:
        """Give counters to what is new. Room that nothing running uses is zero already: who leaves clears up."""
        for name, offset in self._spec.counters.items():
            length = region_bytes(self._desired.parts[name].manifest)
            if self._old is not None and self._old.counters.get(name) == offset:
                continue
            taken = any(overlap((offset, length), region) for region in self._desired.regions.values())
            yield (ClearCounters if taken else Claim)(instance=name, offset=offset, length_bytes=length)

    def _vacate(self) -> Iterator[AnyAction]:
        """Clear the counters of what went, unless somebody has their room already."""
        new = [
            (offset, region_bytes(self._desired.parts[name].manifest)) for name, offset in self._spec.counters.items()
        ]
        for name, region in self._desired.regions.items():
            if not any(overlap(region, other) for other in new):
                yield ClearCounters(instance=name, offset=region[0], length_bytes=region[1])

    def _kept(self) -> dict[tuple[str, ProgramType], str]:
        """Return the running programs that may stay; one that leaves by a slot is bound to its prog array."""
        old = self._old
        if old is None:
            return {}
        return {
            (old.objects[s.key], s.program_type): s.key
            for s in old.partition.segments
            if self.hot or not any(isinstance(e.target, Slot) for e in s.exits)
        }

    def _keep_or_load(self, segment: Segment, kept: dict[tuple[str, ProgramType], str]) -> Keep | Load:
        generation, digest = self._spec.generation, self._spec.objects[segment.key]
        previous = kept.get((digest, segment.program_type))
        anew = any(name.split("/")[0] in segment.members for name in self._around.replace_state)
        if previous is not None and self._old is not None and not anew:
            return Keep(source=self._old.generation, generation=generation, key=previous, new_key=segment.key)
        return Load(
            generation=generation,
            key=segment.key,
            digest=digest,
            members=segment.members,
            replace_state=tuple(n for n in self._around.replace_state if n.split("/")[0] in segment.members),
        )

    def _point(self, place: Place, key: str) -> Iterator[AnyAction]:
        """Lead one place to a segment; where the arrays are shared, only if it does not lead there already."""
        what, kind, number = place
        old, previous = self._old, self._old_live.get(place, "") if self.hot else ""
        if previous and place not in self._moved:
            return
        source = old.generation if old and previous else 0
        if what == "slot":
            yield SetSlot(
                generation=self._spec.generation,
                program_type=kind,
                number=number,
                key=key,
                source=source,
                previous=previous,
            )
        else:
            yield SetEntry(
                generation=self._spec.generation,
                program_type=kind,
                hook=key.removeprefix("hook:"),
                number=number,
                bank=self._spec.bank,
                key=key,
                source=source,
                previous=previous,
            )

    def _surroundings(self) -> Iterator[AnyAction]:
        around, numbers = self._around.surroundings, self._spec.partition.devices
        if around is None:
            return
        before = (
            {}
            if self._old is None or self._running is None
            else {
                self._old.partition.devices[h.hook]: h.ifindex
                for h in self._running.hooks
                if h.hook in self._old.graph.hooks and not self._old.graph.hooks[h.hook].interfaces
            }
        )
        yield SetDevices(devices=around.places(self._spec.graph, numbers), previous=before)
        for name, hook in sorted(self._spec.graph.hooks.items()):
            if hook.interfaces:
                running = self._running.hooks if self._running else ()
                yield SetMembers(
                    hook_name=name,
                    hook=hook,
                    place=numbers[name],
                    ifindexes=tuple(i.ifindex for i in around.interfaces[name]),
                    previous=tuple(h.ifindex for h in running if h.hook == name),
                )

    def _changed_hooks(self) -> dict[str, Hook]:
        """Return the running hooks that the new graph does not have, or has elsewhere."""
        old = self._old
        if old is None:
            return {}
        new = self._spec
        return {
            name: hook
            for name, hook in old.graph.hooks.items()
            if new.graph.hooks.get(name) != hook or new.partition.hooks[name] != old.partition.hooks[name]
        }

    def _detach(self) -> Iterator[AnyAction]:
        for name, hook in sorted(self._changed_hooks().items()):
            assert self._old is not None
            yield Detach(hook_name=name, hook=hook, number=self._old.partition.hooks[name])

    def _flip(self) -> Iterator[AnyAction]:
        old = self._old
        yield Flip(
            generation=self._spec.generation,
            bank=self._spec.bank,
            previous=old.generation if old else 0,
            previous_bank=old.bank if old else 0,
        )

    def _after(self) -> Iterator[AnyAction]:
        old, changed = self._old, self._changed_hooks()
        if self._around.surroundings is not None:
            for name, hook in sorted(self._spec.graph.hooks.items()):
                new = old is None or name not in old.graph.hooks or name in changed
                yield Attach(hook_name=name, hook=hook, number=self._spec.partition.hooks[name], new=new)
        if old is not None:
            yield Grace()
            yield from self._vacate()
            yield Retire(generation=old.generation)
            for name in sorted(set(old.graph.instances) - set(self._spec.graph.instances)):
                yield DropInstance(instance=name)


def _live(spec: Spec) -> dict[Place, str]:
    """Return every place that a packet may be led through, with the segment it leads to."""
    found: dict[Place, str] = {}
    for segment in spec.partition.segments:
        if segment.key.startswith("hook:"):
            name = segment.key.removeprefix("hook:")
            found["entry", segment.program_type, spec.partition.hooks[name]] = segment.key
        else:
            found["slot", segment.program_type, spec.partition.slots[segment.key]] = segment.key
    return found


def _stands(action: AnyAction) -> bool:
    return isinstance(action, Keep) and action.key == action.new_key


def _content(spec: Spec) -> Spec:
    """Return what of a spec is compared: not when and by what it was made, nor cuts, which the partition shows."""
    return msgspec.structs.replace(spec, generation=0, bank=0, inkev="", file="", cuts=())


def describe_changes(old: Spec | None, new: Spec) -> Iterator[str]:
    """Yield what differs between two specs, in words."""
    if old is None:
        yield f"stitch {new.graph.name} with {len(new.graph.instances)} functions"
        return
    for name in sorted(set(new.graph.instances) | set(old.graph.instances)):
        before, after = old.lock.get(name), new.lock.get(name)
        if before is None and after is not None:
            yield f"add {name} ({after.package} {after.version})"
        elif after is None and before is not None:
            yield f"remove {name} ({before.package} {before.version})"
        elif before is not None and after is not None:
            yield from _describe_instance(name, old, new)
    gone, added = set(old.graph.edges) - set(new.graph.edges), set(new.graph.edges) - set(old.graph.edges)
    yield from (f"cut {edge}" for edge in sorted(gone))
    yield from (f"wire {edge}" for edge in sorted(added))
    for title, ours, theirs in (
        ("hook", old.graph.hooks, new.graph.hooks),
        ("device", old.graph.devices, new.graph.devices),
        ("stitch point", old.graph.points, new.graph.points),
    ):
        for name in sorted(set(ours) | set(theirs)):
            if ours.get(name) != theirs.get(name):
                verb = "add" if name not in ours else "remove" if name not in theirs else "change"
                yield f"{verb} {title} {name}"


def _describe_instance(name: str, old: Spec, new: Spec) -> Iterator[str]:
    before, after = old.lock[name], new.lock[name]
    if before != after:
        yield f"replace {name}: {before.package} {before.version} by {after.package} {after.version}"
    if old.graph.instances[name].config != new.graph.instances[name].config:
        yield f"configure {name}"
