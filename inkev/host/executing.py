"""Runs a plan's actions through the kernel; on failure undoes them in reverse, leaving the kernel as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from inkev.base.errors import InkevError
from inkev.graph.spec import Spec
from inkev.host import actions as do
from inkev.host.journal import Journal
from inkev.host.kernel import Kernel, TableHandle

OnProgress = Callable[[str], None]
OpenTable = Callable[[str, str], TableHandle]
"""Opens a table by instance and name, running or staged."""
LoadSegment = Callable[[do.Load], str]
"""Loads a segment and returns the digest of the object that was taken in the end."""


class Executor:
    """Runs and undoes the actions of one graph.

    Args:
        kernel: the driver.
        graph: whose actions they are.
        load: does a Load, the ladder of pipelines included.
        open_table: does what LoadTable needs.
    """

    def __init__(
        self, kernel: Kernel, graph: str, load: LoadSegment | None = None, open_table: OpenTable | None = None
    ) -> None:
        self._kernel = kernel
        self._graph = graph
        self._load = load
        self._open_table = open_table
        self._objects: dict[str, str] = {}
        self.spec: Spec | None = None
        """The spec as it was pinned, with the digests of what was really loaded."""
        self._doing: dict[type, Callable[[Any], None]] = {
            do.OpenGraph: self._open, do.Stage: self._stage, do.Share: self._share, do.ClearCounters: self._clear,
            do.Claim: lambda _: None,
            do.Load: self._load_segment, do.Keep: self._keep, do.SetSlot: self._set_slot, do.SetEntry: self._set_entry,
            do.SetDevices: self._set_devices, do.SetMembers: self._set_members, do.LoadTable: self._load_table,
            do.WriteSpec: self._write_spec, do.Detach: self._detach, do.Flip: self._flip, do.Attach: self._attach,
            do.Grace: self._grace, do.Retire: self._unstage, do.DropInstance: self._drop_instance,
            do.RemoveGraph: self._remove_graph,
        }  # fmt: skip
        self._undoing: dict[type, Callable[[Any], None]] = {
            do.OpenGraph: self._close, do.Claim: self._clear, do.Stage: self._unstage, do.Share: self._unstage,
            do.SetSlot: self._restore_slot, do.SetEntry: self._restore_entry, do.SetDevices: self._restore_devices,
            do.SetMembers: self._restore_members, do.LoadTable: self._restore_table, do.Detach: self._attach,
            do.Flip: self._flip_back, do.Attach: self._unattach,
        }  # fmt: skip

    def run(self, plan: do.Plan, journal: Journal, on_progress: OnProgress | None = None) -> None:
        """Run every action; the journal holds the plan meanwhile.

        Raises:
            InkevError: a step was refused; what had been done is undone, unless the new state already ran.
        """
        journal.write(plan)
        self.run_from(plan, 0, journal, on_progress)

    def run_from(self, plan: do.Plan, start: int, journal: Journal, on_progress: OnProgress | None = None) -> None:
        """Run the actions from a place on: all of them, or what a killed command left to do."""
        committed = plan.commit_point()
        for place in range(start, len(plan.actions)):
            action = plan.actions[place]
            if on_progress is not None:
                on_progress(str(action))
            try:
                self.perform(action)
            except BaseException:  # an interrupt leaves the kernel as it was too
                if place < committed:
                    self.undo(plan.actions[: place + 1], journal)
                raise
        journal.clear(self._graph)

    def undo(self, done: Sequence[do.AnyAction], journal: Journal) -> None:
        """Take back actions in reverse; each may have been done, half done or not at all.

        The journal stays where one could not be taken back: the next command tries again.
        """
        whole = True
        for action in reversed(done):
            try:
                self.take_back(action)
            except (InkevError, OSError):
                whole = False
        if whole:
            journal.clear(self._graph)

    def perform(self, action: do.AnyAction) -> None:
        """Do one action."""
        self._doing[type(action)](action)

    def take_back(self, action: do.AnyAction) -> None:
        """Leave the kernel as it was before the action, done or not; most leave nothing once their generation goes."""
        undo = self._undoing.get(type(action))
        if undo is not None:
            undo(action)

    def _open(self, _: do.OpenGraph) -> None:
        self._kernel.open_graph(self._graph)

    def _close(self, action: do.OpenGraph) -> None:
        if action.new:
            self._kernel.remove_graph(self._graph)

    def _stage(self, action: do.Stage) -> None:
        self._kernel.stage(self._graph, action.generation)

    def _share(self, action: do.Share) -> None:
        self._kernel.share(self._graph, action.source, action.generation)

    def _unstage(self, action: do.Stage | do.Share | do.Retire) -> None:
        self._kernel.retire(self._graph, action.generation)

    def _clear(self, action: do.ClearCounters | do.Claim) -> None:
        self._kernel.clear_counters(self._graph, action.offset, action.length_bytes)

    def _load_segment(self, action: do.Load) -> None:
        assert self._load is not None
        self._objects[action.key] = self._load(action)

    def _keep(self, action: do.Keep) -> None:
        self._kernel.keep(self._graph, action.source, action.generation, action.key, action.new_key)

    def _set_slot(self, action: do.SetSlot) -> None:
        self._kernel.set_slot(self._graph, action.generation, action.program_type, action.number, action.key)

    def _restore_slot(self, action: do.SetSlot) -> None:
        if action.previous:
            self._kernel.set_slot(self._graph, action.source, action.program_type, action.number, action.previous)

    def _set_entry(self, action: do.SetEntry) -> None:
        self._kernel.set_entry(
            self._graph, action.generation, action.program_type, action.number, action.bank, action.key
        )

    def _restore_entry(self, action: do.SetEntry) -> None:
        if action.previous:
            self._kernel.set_entry(
                self._graph, action.source, action.program_type, action.number, action.bank, action.previous
            )

    def _set_devices(self, action: do.SetDevices) -> None:
        self._kernel.set_devices(self._graph, action.devices)

    def _restore_devices(self, action: do.SetDevices) -> None:
        if action.previous:
            self._kernel.set_devices(self._graph, action.previous)

    def _set_members(self, action: do.SetMembers) -> None:
        self._kernel.set_members(self._graph, action.place, action.ifindexes, action.hook.netns)

    def _restore_members(self, action: do.SetMembers) -> None:
        if action.previous:
            self._kernel.set_members(self._graph, action.place, action.previous, action.hook.netns)

    def _load_table(self, action: do.LoadTable) -> None:
        assert self._open_table is not None
        try:
            self._open_table(action.instance, action.table).load(action.rows)
        except InkevError as error:  # who keeps tables does not know whose they are
            where = f"nf.{action.instance}.tables.{action.table}"
            error.faults = tuple(replace(fault, where=fault.where or where) for fault in error.faults)
            raise

    def _restore_table(self, action: do.LoadTable) -> None:
        if action.previous is not None and self._open_table is not None:
            self._open_table(action.instance, action.table).load(action.previous)

    def _write_spec(self, action: do.WriteSpec) -> None:
        self.spec = msgspec.structs.replace(action.spec, objects=action.spec.objects | self._objects)
        self._kernel.write_spec(self._graph, action.spec.generation, self.spec)

    def _flip(self, action: do.Flip) -> None:
        self._kernel.flip(self._graph, action.generation, action.bank)

    def _flip_back(self, action: do.Flip) -> None:
        self._kernel.flip(self._graph, action.previous, action.previous_bank)

    def _attach(self, action: do.Attach | do.Detach) -> None:
        self._kernel.attach(self._graph, action.hook_name, action.hook, action.number)

    def _detach(self, action: do.Detach) -> None:
        self._kernel.detach(self._graph, action.hook_name)

    def _unattach(self, action: do.Attach) -> None:
        if action.new:
            self._kernel.detach(self._graph, action.hook_name)

    def _grace(self, _: do.Grace) -> None:
        self._kernel.grace()

    def _drop_instance(self, action: do.DropInstance) -> None:
        self._kernel.drop_instance(self._graph, action.instance)

    def _remove_graph(self, _: do.RemoveGraph) -> None:
        self._kernel.remove_graph(self._graph)
