"""The generation stub: what every hook runs first, written by hand because it never changes while it is attached.

It reads the graph's generation cell once, so a packet keeps the generation that it entered the hook with, and
tail-calls one of its hook's two entries. Each arm has a constant index, which the JIT turns into a direct jump; the
arms are apart so that nothing merges them into an indirect one.
"""

from __future__ import annotations

import re

from inkev.base.cpus import block_places
from inkev.base.limits import BLOCK_BYTES
from inkev.bpf.assembly import (
    CALL_CPU,
    CALL_TAIL_CALL,
    R0,
    R1,
    R2,
    R3,
    R5,
    R6,
    add,
    add_register,
    call,
    constant,
    copy,
    jump,
    jump_if_zero,
    leave,
    load64,
    map_fd,
    map_value,
    mask,
    multiply,
    store64,
)
from inkev.bpf.maps import Map
from inkev.bpf.program import AttachType, Program, ProgramType
from inkev.graph import model

GRAPH_DROPS = 128
"""IKV_BLOCK_GRAPH_DROPS; the first of them is IKV_GRAPH_MISSED_TAIL_CALL."""

XDP_DROP = 1
TC_ACT_SHOT = 2

TYPES: dict[model.ProgramType, ProgramType] = {"xdp": ProgramType.XDP, "tc": ProgramType.SCHED_CLS}
ATTACH_TYPES: dict[model.ProgramType, AttachType] = {"xdp": AttachType.XDP, "tc": AttachType.NONE}
"""What every program of one type expects, stubs and segments alike: a prog array takes only programs that agree."""

_NAME = re.compile(r"ikv(\d+)_")


def stub_name(graph: str, number: int) -> str:
    """Return the program name of a hook's stub; the kernel keeps 15 characters of it."""
    return f"ikv{number}_{graph}"


def stub_number(name: str) -> int | None:
    """Return the hook number that a stub of this name serves, or None where it is no stub."""
    found = _NAME.match(name)
    return int(found[1]) if found else None


def stub_code(number: int, program_type: model.ProgramType, cell: Map, entries: Map, block: Map) -> bytes:
    """Return the bytecode of a hook's stub."""
    verdict = XDP_DROP if program_type == "xdp" else TC_ACT_SHOT
    even = constant(R3, 2 * number) + call(CALL_TAIL_CALL)
    odd = constant(R3, 2 * number + 1) + call(CALL_TAIL_CALL)
    choose = (
        copy(R6, R1)
        + map_value(R1, cell.fileno())
        + load64(R5, R1, 0)
        + mask(R5, 1)
        + copy(R1, R6)
        + map_fd(R2, entries.fileno())
    )
    arms = jump_if_zero(R5, 3) + odd + jump(2) + even
    missed = (
        call(CALL_CPU)
        + mask(R0, block_places() - 1)
        + multiply(R0, BLOCK_BYTES)
        + map_value(R1, block.fileno())
        + add_register(R1, R0)
        + load64(R2, R1, GRAPH_DROPS)
        + add(R2, 1)
        + store64(R1, GRAPH_DROPS, R2)
        + constant(R0, verdict)
        + leave()
    )
    return choose + arms + missed


def load_stub(graph: str, number: int, program_type: model.ProgramType, cell: Map, entries: Map,
              block: Map) -> Program:
    """Return a hook's stub, loaded."""
    return Program.load(TYPES[program_type], stub_code(number, program_type, cell, entries, block),
                        name=stub_name(graph, number), attach=ATTACH_TYPES[program_type])
