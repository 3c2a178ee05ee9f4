"""The actions of a plan: typed values, each with what it replaces, so that undo is data too.

A plan is printed, journalled and run from these values alone. What runs them is `inkev.host.executing`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from inkev.graph.model import Hook, ProgramType
from inkev.graph.spec import Spec


class Action(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """One step. `after_flip` steps are repeated, not undone, by whoever finds the flip done."""


class OpenGraph(Action, frozen=True, kw_only=True, tag="open-graph"):
    """Make the graph's folder, cell, block, device and entry arrays; `new` where nothing of it ran before."""

    new: bool

    def __str__(self) -> str:
        return "make the graph's arrays"


class Stage(Action, frozen=True, kw_only=True, tag="stage"):
    """Make a generation with prog arrays of its own."""

    generation: int

    def __str__(self) -> str:
        return f"stage generation {self.generation}"


class Share(Action, frozen=True, kw_only=True, tag="share"):
    """Make a generation on the prog arrays of the running one."""

    source: int
    generation: int

    def __str__(self) -> str:
        return f"stage generation {self.generation} on the arrays of {self.source}"


class Claim(Action, frozen=True, kw_only=True, tag="claim"):
    """Count an instance that is new in room that is known to be zero; undo leaves it so."""

    instance: str
    offset: int
    length_bytes: int

    def __str__(self) -> str:
        return f"count {self.instance} at {self.offset}"


class ClearCounters(Action, frozen=True, kw_only=True, tag="clear-counters"):
    """Zero the region of an instance: one that went, so that its room is clean, or one that takes unclean room."""

    instance: str
    offset: int
    length_bytes: int

    def __str__(self) -> str:
        return f"clear the counters of {self.instance}"


class Load(Action, frozen=True, kw_only=True, tag="load"):
    """Load a linked segment into the generation."""

    generation: int
    key: str
    digest: str
    members: tuple[str, ...]
    new_instances: tuple[str, ...] = ()
    """Instances whose maps this makes; undo takes them away."""
    replace_state: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"load {self.key} ({', '.join(self.members) or 'straight out'})"


class Keep(Action, frozen=True, kw_only=True, tag="keep"):
    """Carry a running program over."""

    source: int
    generation: int
    key: str
    new_key: str

    def __str__(self) -> str:
        moved = f" as {self.new_key}" if self.new_key != self.key else ""
        return f"keep {self.key}{moved}"


class SetSlot(Action, frozen=True, kw_only=True, tag="set-slot"):
    """Point a slot at a segment; `previous` names the running segment that traffic takes there now."""

    generation: int
    program_type: ProgramType
    number: int
    key: str
    source: int = 0
    previous: str = ""

    def __str__(self) -> str:
        return f"point {self.program_type} slot {self.number} at {self.key}"


class SetEntry(Action, frozen=True, kw_only=True, tag="set-entry"):
    """Point a hook's entry in a bank at a segment; `previous` as for a slot."""

    generation: int
    program_type: ProgramType
    hook: str
    number: int
    bank: int
    key: str
    source: int = 0
    previous: str = ""

    def __str__(self) -> str:
        return f"point hook {self.hook} at {self.key}"


class SetDevices(Action, frozen=True, kw_only=True, tag="set-devices"):
    """Write interface indexes by place."""

    devices: dict[int, int]
    previous: dict[int, int]

    def __str__(self) -> str:
        return f"write {len(self.devices)} interface indexes"


class SetMembers(Action, frozen=True, kw_only=True, tag="set-members"):
    """Write the members of an interface set."""

    hook_name: str
    hook: Hook
    place: int
    ifindexes: tuple[int, ...]
    previous: tuple[int, ...]

    def __str__(self) -> str:
        return f"write the {len(self.ifindexes)} members of {self.hook_name}"


class LoadTable(Action, frozen=True, kw_only=True, tag="load-table"):
    """Make a table that the file owns hold the file's rows."""

    instance: str
    table: str
    rows: list[dict[str, Any]]
    previous: list[dict[str, Any]] | None = None
    """None where the table is new."""

    def __str__(self) -> str:
        return f"write {len(self.rows)} rows to {self.instance}.{self.table}"


class WriteSpec(Action, frozen=True, kw_only=True, tag="write-spec"):
    """Pin what describes the generation."""

    spec: Spec

    def __str__(self) -> str:
        return f"pin the description of generation {self.spec.generation}"


class Detach(Action, frozen=True, kw_only=True, tag="detach"):
    """Take a hook's stub off its interfaces."""

    hook_name: str
    hook: Hook
    number: int

    def __str__(self) -> str:
        return f"detach {self.hook_name} from {self.hook.interface or self.hook.interfaces}"


class Flip(Action, frozen=True, kw_only=True, tag="flip"):
    """Store the generation cell: the new generation runs."""

    generation: int
    bank: int
    previous: int
    previous_bank: int

    def __str__(self) -> str:
        return f"flip to generation {self.generation}"


class Attach(Action, frozen=True, kw_only=True, tag="attach"):
    """Attach a hook's stub wherever it is missing; `new` where it stood nowhere before."""

    hook_name: str
    hook: Hook
    number: int
    new: bool

    def __str__(self) -> str:
        return f"attach {self.hook_name} to {self.hook.interface or self.hook.interfaces} ({self.hook.type})"


class Grace(Action, frozen=True, kw_only=True, tag="grace"):
    """Wait until no CPU runs what was replaced."""

    def __str__(self) -> str:
        return "wait for packets in flight"


class Retire(Action, frozen=True, kw_only=True, tag="retire"):
    """Unpin a generation that does not run."""

    generation: int

    def __str__(self) -> str:
        return f"retire generation {self.generation}"


class DropInstance(Action, frozen=True, kw_only=True, tag="drop-instance"):
    """Unpin an instance's maps: its state is gone."""

    instance: str

    def __str__(self) -> str:
        return f"drop the state of {self.instance}"


class RemoveGraph(Action, frozen=True, kw_only=True, tag="remove-graph"):
    """Unpin everything of the graph."""

    def __str__(self) -> str:
        return "remove the graph"


AnyAction = (
    OpenGraph
    | Stage
    | Share
    | Claim
    | ClearCounters
    | Load
    | Keep
    | SetSlot
    | SetEntry
    | SetDevices
    | SetMembers
    | LoadTable
    | WriteSpec
    | Detach
    | Flip
    | Attach
    | Grace
    | Retire
    | DropInstance
    | RemoveGraph
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The ordered actions from what the kernel holds to what is wanted."""

    graph: str
    generation: int
    """What runs afterwards; 0 where nothing will."""
    actions: tuple[AnyAction, ...] = ()
    changes: tuple[str, ...] = ()
    """What differs, in words, for people."""
    flips: int = 0
    """How many slots or entries move: 1 for a hot change, all of a hook's for a new generation."""

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to do."""
        return not self.actions

    def commit_point(self) -> int:
        """Return the place up to which a failure undoes everything: the new state runs and all hooks carry it."""
        places = [place for place, action in enumerate(self.actions) if isinstance(action, Flip | Attach)]
        return places[-1] + 1 if places else 0

    def flip_point(self) -> int:
        """Return the place after the flip: where a killed command's successor goes on, if the cell has moved."""
        return next((place + 1 for place, action in enumerate(self.actions) if isinstance(action, Flip)), 0)
