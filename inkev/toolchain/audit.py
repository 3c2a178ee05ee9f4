"""What a program's instructions may do: helpers, kfuncs, packet writes, redirects, tail calls.

Follows the code from the entry into its own subprograms, keeping for each register and stack slot what it may point
to. It errs on the side of saying that a program writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from inkev.toolchain import abi
from inkev.toolchain.elf import Elf, Symbol
from inkev.toolchain.helper_names import HELPERS
from inkev.toolchain.instructions import CALL, EXIT, PSEUDO_CALL, Instruction, decode

REDIRECTS = frozenset({"clone_redirect", "redirect", "redirect_map", "redirect_neigh", "redirect_peer"})
WRITERS = frozenset(
    {
        "skb_store_bytes",
        "l3_csum_replace",
        "l4_csum_replace",
        "skb_vlan_push",
        "skb_vlan_pop",
        "skb_change_proto",
        "skb_change_head",
        "skb_change_tail",
        "skb_adjust_room",
        "xdp_adjust_head",
        "xdp_adjust_tail",
        "xdp_store_bytes",
        "skb_set_tunnel_key",
        "skb_set_tunnel_opt",
        "skb_ecn_set_ce",
    }
)

Tags = frozenset[str]
NOTHING: Tags = frozenset()
CONTEXT: Tags = frozenset({"context"})
OURS: Tags = frozenset({"ikv_packet"})
PACKET: Tags = frozenset({"packet"})
STACK: Tags = frozenset({"stack"})

_PACKET_FIELDS = frozenset({8, 16, 24, 32})
"""data, end, l3, l4 of struct ikv_packet."""
_LOAD_CLASS, _STORE_CLASSES, _ALU_CLASSES = 0x01, (0x02, 0x03), (0x04, 0x07)
_REDIRECT_VERDICT = abi.VERDICT_REDIRECT << 16


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, names sorted."""

    helpers: tuple[str, ...]
    kfuncs: tuple[str, ...]
    writes_packet: bool
    redirects: bool
    tail_calls: bool
    instructions: int


@dataclass(slots=True)
class _State:
    """What registers and stack slots may point to."""

    registers: list[Tags] = field(default_factory=lambda: [NOTHING] * 10 + [STACK])
    slots: dict[int, Tags] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State(list(self.registers), dict(self.slots))

    def merge(self, other: _State) -> bool:
        """Take over what another path adds; return whether that is news."""
        registers = [mine | theirs for mine, theirs in zip(self.registers, other.registers, strict=True)]
        slots = {
            place: self.slots.get(place, NOTHING) | other.slots.get(place, NOTHING)
            for place in self.slots.keys() | other.slots.keys()
        }
        changed = registers != self.registers or slots != self.slots
        self.registers, self.slots = registers, slots
        return changed


class _Audit:
    """The analysis of one entry."""

    def __init__(self, elf: Elf, side: abi.Side) -> None:
        self.elf = elf
        self.data_fields = frozenset({side.data, side.end})
        self.code = {
            number: {one.place: one for one in decode(section.data)}
            for number, section in enumerate(elf.sections)
            if section.is_code
        }
        self.relocations = {(one.section, one.offset // 8): one.symbol for one in elf.relocations}
        self.states: dict[tuple[int, int], _State] = {}
        self.helpers: set[str] = set()
        self.kfuncs: set[str] = set()
        self.writes = False
        self.verdicts = False

    def run(self, entry: Symbol, argument: Tags) -> None:
        first = _State()
        first.registers[1] = argument
        work = [((entry.section, entry.value // 8), first)]
        while work:
            where, state = work.pop()
            known = self.states.get(where)
            if known is None:
                self.states[where] = state
            elif not known.merge(state):
                continue
            work += self._step(where, self.states[where].copy())

    def _step(self, where: tuple[int, int], state: _State) -> Iterable[tuple[tuple[int, int], _State]]:
        section, place = where
        one = self.code[section].get(place)
        if one is None or one.opcode == EXIT:
            return []
        after = (section, place + (2 if one.opcode == 0x18 else 1))
        if one.opcode == CALL:
            return self._call(where, one, state, after)
        if one.is_jump:
            distance = one.immediate if one.opcode == 0x06 else one.offset
            there = ((section, place + 1 + distance), state.copy())
            return [there] if one.opcode in (0x05, 0x06) else [there, (after, state)]
        self._execute(one, state)
        return [(after, state)]

    def _call(
        self, where: tuple[int, int], one: Instruction, state: _State, after: tuple[int, int]
    ) -> Iterable[tuple[tuple[int, int], _State]]:
        symbol = self.relocations.get(where)
        onward = []
        if symbol is not None and symbol.section == 0:
            self.kfuncs.add(symbol.name)
        elif one.source == PSEUDO_CALL:
            onward.append(
                (self._callee(where, one, symbol), _State([NOTHING, *state.registers[1:6], *[NOTHING] * 4, STACK]))
            )
        elif one.source == 0:
            self.helpers.add(HELPERS[one.immediate] if 0 <= one.immediate < len(HELPERS) else f"helper_{one.immediate}")
        state.registers[:6] = [NOTHING] * 6
        return [*onward, (after, state)]

    def _callee(self, where: tuple[int, int], one: Instruction, symbol: Symbol | None) -> tuple[int, int]:
        """A call across sections is relocated against the function, or against its section with the place in `imm`."""
        if symbol is None:
            return where[0], where[1] + 1 + one.immediate
        return symbol.section, symbol.value // 8 + (0 if symbol.is_function else one.immediate + 1)

    def _execute(self, one: Instruction, state: _State) -> None:
        kind = one.opcode & 7
        if kind == _LOAD_CLASS:
            state.registers[one.target] = self._loaded(one, state)
        elif kind in _STORE_CLASSES:
            self._store(one, state)
        elif kind in _ALU_CLASSES:
            self._compute(one, state)
        elif one.opcode == 0x18:
            state.registers[one.target] = NOTHING
            self.verdicts |= one.immediate == _REDIRECT_VERDICT

    def _loaded(self, one: Instruction, state: _State) -> Tags:
        base, found = state.registers[one.source], NOTHING
        if base & CONTEXT and one.offset in self.data_fields:
            found |= PACKET
        if base & OURS:
            found |= PACKET if one.offset in _PACKET_FIELDS else CONTEXT if one.offset == 0 else NOTHING
        if base & STACK:
            found |= state.slots.get(one.offset, NOTHING) if one.source == 10 else NOTHING.union(*state.slots.values())
        return found

    def _store(self, one: Instruction, state: _State) -> None:
        base = state.registers[one.target]
        if base & PACKET:
            self.writes = True
        if base & STACK and one.opcode & 7 == 0x03:
            place = one.offset if one.target == 10 else -1
            state.slots[place] = state.registers[one.source] | (
                NOTHING if place != -1 else state.slots.get(-1, NOTHING)
            )

    def _compute(self, one: Instruction, state: _State) -> None:
        by_register, operation = bool(one.opcode & 0x08), one.opcode & 0xF0
        if operation == 0xB0:
            state.registers[one.target] = state.registers[one.source] if by_register else NOTHING
            self.verdicts |= not by_register and one.immediate == _REDIRECT_VERDICT
        elif operation in (0x00, 0x10) and by_register:
            state.registers[one.target] |= state.registers[one.source]


def audit(elf: Elf, entry: str, hook: str, *, is_foreign: bool) -> Findings | None:
    """Return what the entry and all that it calls may do; None where the object has no such function."""
    symbol = next((one for one in elf.symbols if one.name == entry and one.is_function and one.section), None)
    if symbol is None:
        return None
    run = _Audit(elf, abi.SIDES[hook])
    run.run(symbol, CONTEXT if is_foreign else OURS)
    return Findings(
        helpers=tuple(sorted(f"bpf_{name}" for name in run.helpers)),
        kfuncs=tuple(sorted(run.kfuncs)),
        writes_packet=run.writes or bool(run.helpers & WRITERS),
        redirects=bool(run.helpers & REDIRECTS) or (not is_foreign and run.verdicts),
        tail_calls="tail_call" in run.helpers,
        instructions=len(run.states),
    )
