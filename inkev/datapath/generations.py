"""Generations of a graph: stage or share, keep programs, fill slots and entries, retire.

What the cell says is what runs. Everything here may be cut short at any point: what is half done is in the folder of a
generation that the cell does not name.
"""

from __future__ import annotations

from struct import Struct

from inkev.base import limits
from inkev.base.errors import ConflictError
from inkev.bpf.maps import Map
from inkev.bpf.pin import pin, repin
from inkev.bpf.program import Program
from inkev.datapath.memory import PROGRAM_TYPES, make_slots, read_cell
from inkev.datapath.pins import GenerationPins, GraphPins, remove_tree
from inkev.graph import model

_WORD = Struct("=I")


def stage(pins: GraphPins, generation: int) -> None:
    """Make the generation's folder with prog arrays of its own, whatever a killed command left there before."""
    _settle_running(pins)
    made = pins.generation(generation)
    _refuse_running(pins, generation)
    remove_tree(made.folder)
    made.folder.mkdir(parents=True)
    for program_type in PROGRAM_TYPES:
        make_slots(made.slots(program_type), pins.name)


def share(pins: GraphPins, source: int, target: int) -> None:
    """Make generation `target` on the prog arrays of `source`."""
    _settle_running(pins)
    made, running = pins.generation(target), pins.generation(source)
    _refuse_running(pins, target)
    remove_tree(made.folder)
    made.folder.mkdir(parents=True)
    for program_type in PROGRAM_TYPES:
        with Map.open(running.slots(program_type)) as held:
            pin(held, made.slots(program_type))


def keep(pins: GraphPins, source: int, target: int, key: str, new_key: str) -> None:
    """Carry a program over, under a new key where one is given.

    Raises:
        ConflictError: `program-not-portable`: the program jumps through prog arrays that are not the target's, so it
            would go on to what retires with the source.
    """
    with Program.open(pins.generation(source).segment(key)) as program:
        _check_portable(program, pins.generation(source), pins.generation(target), key)
        repin(program, pins.generation(target).segment(new_key or key))


def _check_portable(program: Program, source: GenerationPins, target: GenerationPins, key: str) -> None:
    used = set(program.map_ids())
    for program_type in PROGRAM_TYPES:
        with Map.open(source.slots(program_type)) as old, Map.open(target.slots(program_type)) as new:
            if old.info.id in used and new.info.id != old.info.id:
                raise ConflictError(
                    "program-not-portable", f"segment {key} cannot be kept in generation {target.number}",
                    why=f"it leaves through the stitch points of generation {source.number}",
                    hint="load it again, so that it leaves through its own generation's")


def set_slot(pins: GraphPins, generation: int, program_type: model.ProgramType, number: int, key: str) -> None:
    """Point a slot of the generation's prog array at one of its segments."""
    made = pins.generation(generation)
    with Program.open(made.segment(key)) as program, Map.open(made.slots(program_type)) as slots:
        slots.point(number, program)


def set_entry(pins: GraphPins, generation: int, program_type: model.ProgramType, number: int, key: str) -> None:
    """Point an entry (2 * hook + bank) at one of the generation's segments."""
    with (Program.open(pins.generation(generation).segment(key)) as program,
          Map.open(pins.entries(program_type)) as entries):
        entries.point(number, program)


def retire(pins: GraphPins, generation: int) -> None:
    """Unpin a generation that the cell does not name, and empty the bank that nothing reads any more."""
    _refuse_running(pins, generation)
    _settle_running(pins)
    running, bank = read_cell(pins)
    if running:
        clear_bank(pins, 1 - bank)
    remove_tree(pins.generation(generation).folder)


def clear_bank(pins: GraphPins, bank: int) -> None:
    """Empty one entry of every hook, so that the programs behind it can go."""
    for program_type in PROGRAM_TYPES:
        with Map.open(pins.entries(program_type)) as entries:
            for hook in range(limits.HOOKS):
                key = _WORD.pack(2 * hook + bank)
                if entries.find(key) is not None:
                    entries.delete(key)


def _refuse_running(pins: GraphPins, generation: int) -> None:
    if generation == read_cell(pins)[0]:
        raise ConflictError("generation-runs", f"generation {generation} of {pins.name} is the one that runs",
                            why="its generation cell names it", hint="observe the graph again and make a new plan")


def _settle_running(pins: GraphPins) -> None:
    running, _ = read_cell(pins)
    if running:
        pins.settle(running)
