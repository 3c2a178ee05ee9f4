"""BPF instructions read from an object: what a program calls and how, for audits and for checks of our own output.

Encoding: Documentation/bpf/standardization/instruction-set.rst of the kernel. Pure: bytes in, values out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CODE = struct.Struct("<BBhi")

LD_IMM64 = 0x18
CALL = 0x85
EXIT = 0x95
MOV64_IMM = 0xB7
MOV32_IMM = 0xB4
PSEUDO_CALL = 1
PSEUDO_KFUNC = 2
TAIL_CALL = 12
_JUMP_CLASSES = (0x05, 0x06)
_STORE_CLASSES = (0x02, 0x03)
_WRITING_CLASSES = (0x00, 0x01, 0x04, 0x07)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `place` counts 8-byte slots, two for a 64-bit immediate."""

    place: int
    opcode: int
    target: int
    source: int
    offset: int
    immediate: int

    @property
    def is_helper_call(self) -> bool:
        """True for a call of a kernel helper by number."""
        return self.opcode == CALL and self.source == 0

    @property
    def is_jump(self) -> bool:
        """True for anything that may go elsewhere, calls and exits not counted."""
        return self.opcode & 7 in _JUMP_CLASSES and self.opcode & 0xF0 not in (0x80, 0x90)

    @property
    def is_store(self) -> bool:
        """True where it writes to memory, atomically or not."""
        return self.opcode & 7 in _STORE_CLASSES

    def writes(self, register: int) -> bool:
        """Return whether it changes a register."""
        if self.opcode == CALL:
            return register <= 5
        return self.opcode & 7 in _WRITING_CLASSES and self.target == register


def decode(code: bytes) -> Iterator[Instruction]:
    """Yield the instructions of a program's bytes."""
    place = 0
    while place * 8 + 8 <= len(code):
        opcode, registers, offset, immediate = _CODE.unpack_from(code, place * 8)
        yield Instruction(place, opcode, registers & 15, registers >> 4, offset, immediate)
        place += 2 if opcode == LD_IMM64 else 1


def helper_numbers(code: bytes) -> set[int]:
    """Return the numbers of the kernel helpers that are called."""
    return {one.immediate for one in decode(code) if one.is_helper_call}


def jump_targets(instructions: list[Instruction]) -> set[int]:
    """Return the places that something jumps to."""
    return {
        one.place + 1 + (one.immediate if one.opcode == 0x06 else one.offset) for one in instructions if one.is_jump
    }


def variable_tail_calls(code: bytes) -> list[int]:
    """Return the places of tail calls whose index (r3) is not an immediate set in the same straight run of code."""
    instructions = list(decode(code))
    targets = jump_targets(instructions)
    return [
        one.place
        for number, one in enumerate(instructions)
        if one.is_helper_call and one.immediate == TAIL_CALL and not _is_constant(instructions, number, targets)
    ]


def _is_constant(instructions: list[Instruction], number: int, targets: set[int]) -> bool:
    if instructions[number].place in targets:
        return False
    for one in reversed(instructions[:number]):
        if one.writes(3):
            return one.opcode in (MOV64_IMM, MOV32_IMM)
        if one.place in targets or one.is_jump or one.opcode == EXIT:
            return False
    return False
