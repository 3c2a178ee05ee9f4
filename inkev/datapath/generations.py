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
from inkev.datapath.stub import TYPES
from inkev.graph import model

_WORD = Struct("=I")


def stage(pins: GraphPins, generation: int) -> None:
    """Make the generation's folder with prog arrays of its own, whatever a killed command left there before."""
    made = _make_folder(pins, generation)
    for program_type in PROGRAM_TYPES:
        make_slots(made.slots(program_type), pins.name)


def share(pins: GraphPins, source: int, target: int) -> None:
    """Make generation `target` on the prog arrays of `source`."""
    made, running = _make_folder(pins, target), pins.generation(source)
    for program_type in PROGRAM_TYPES:
        with Map.open(running.slots(program_type)) as held:
            pin(held, made.slots(program_type))


def _make_folder(pins: GraphPins, generation: int) -> GenerationPins:
    """Make an empty folder for a generation that does not run."""
    _settle_beside(pins, generation)
    made = pins.generation(generation)
    try:
        made.folder.mkdir()
    except FileExistsError:
        remove_tree(made.folder)
        made.folder.mkdir()
    return made


def keep(pins: GraphPins, source: int, target: int, key: str, new_key: str, *, portable: bool = False) -> None:
    """Carry a program over, under a new key where one is given; `portable`: both are known to share prog arrays.

    Raises:
        ConflictError: `program-not-portable`: the program jumps through prog arrays that are not the target's, so it
            would go on to what retires with the source.
    """
    with Program.open(pins.generation(source).segment(key)) as program:
        if not portable:
            _check_portable(program, pins.generation(source), pins.generation(target), key)
        repin(program, pins.generation(target).segment(new_key or key))


def _check_portable(program: Program, source: GenerationPins, target: GenerationPins, key: str) -> None:
    program_type: model.ProgramType = "xdp" if program.info.type == TYPES["xdp"] else "tc"
    with Map.open(source.slots(program_type)) as held:
        old = held.info.id
    if old not in program.map_ids():
        return
    with Map.open(target.slots(program_type)) as held:
        if held.info.id != old:
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
    running, bank = _settle_beside(pins, generation)
    if running and not _share_slots(pins.generation(generation), pins.generation(running)):
        clear_bank(pins, 1 - bank)
    remove_tree(pins.generation(generation).folder)


def _share_slots(one: GenerationPins, other: GenerationPins) -> bool:
    """Return whether both stand on one prog array; then they share the bank too, and the other one is empty."""
    try:
        with Map.open(one.slots("xdp")) as ours, Map.open(other.slots("xdp")) as theirs:
            return ours.info.id == theirs.info.id
    except FileNotFoundError:
        return False


def clear_bank(pins: GraphPins, bank: int) -> None:
    """Empty one entry of every hook, so that the programs behind it can go."""
    for program_type in PROGRAM_TYPES:
        if not pins.entries(program_type).exists():
            continue  # somebody took the pin away: what it held is gone too
        with Map.open(pins.entries(program_type)) as entries:
            for hook in range(limits.HOOKS):
                key = _WORD.pack(2 * hook + bank)
                if entries.find(key) is not None:
                    entries.delete(key)


def _settle_beside(pins: GraphPins, generation: int) -> tuple[int, int]:
    """Settle the generation that runs, which must be another one; return it and its bank."""
    running, bank = read_cell(pins)
    if generation == running:
        raise ConflictError("generation-runs", f"generation {generation} of {pins.name} is the one that runs",
                            why="its generation cell names it", hint="observe the graph again and make a new plan")
    if running:
        pins.settle(running)
    return running, bank
