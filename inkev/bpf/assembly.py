"""BPF instructions as bytes, for the few programs that are written by hand (Documentation/bpf/standardization)."""

from __future__ import annotations

from struct import Struct

_INSTRUCTION = Struct("<BBhi")

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)

CALL_CPU = 8
CALL_TAIL_CALL = 12
_PSEUDO_MAP_FD = 1
_PSEUDO_MAP_VALUE = 2


def _encode(code: int, target: int = 0, source: int = 0, offset: int = 0, constant: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, source << 4 | target, offset, constant)


def copy(target: int, source: int) -> bytes:
    """Target = source."""
    return _encode(0xBF, target, source)


def constant(target: int, value: int) -> bytes:
    """Target = value."""
    return _encode(0xB7, target, constant=value)


def add(target: int, value: int) -> bytes:
    """Target += value."""
    return _encode(0x07, target, constant=value)


def add_register(target: int, source: int) -> bytes:
    """Target += source."""
    return _encode(0x0F, target, source)


def multiply(target: int, value: int) -> bytes:
    """Target *= value."""
    return _encode(0x27, target, constant=value)


def mask(target: int, value: int) -> bytes:
    """Target &= value."""
    return _encode(0x57, target, constant=value)


def load64(target: int, base: int, offset: int) -> bytes:
    """Target = the 8 bytes at base + offset."""
    return _encode(0x79, target, base, offset)


def store64(base: int, offset: int, source: int) -> bytes:
    """The 8 bytes at base + offset = source."""
    return _encode(0x7B, base, source, offset)


def map_fd(target: int, fd: int) -> bytes:
    """Target = the map; two instructions wide."""
    return _encode(0x18, target, _PSEUDO_MAP_FD, constant=fd) + _encode(0)


def map_value(target: int, fd: int) -> bytes:
    """Target = the address of the one value of an array map; two instructions wide. Linux 5.2."""
    return _encode(0x18, target, _PSEUDO_MAP_VALUE, constant=fd) + _encode(0)


def call(helper: int) -> bytes:
    """R0 = helper(R1 to R5)."""
    return _encode(0x85, constant=helper)


def jump(instructions: int) -> bytes:
    """Skip so many instructions."""
    return _encode(0x05, offset=instructions)


def jump_if_zero(register: int, instructions: int) -> bytes:
    """Skip so many instructions where the register is 0."""
    return _encode(0x15, register, offset=instructions)


def leave() -> bytes:
    """Return R0."""
    return _encode(0x95)
