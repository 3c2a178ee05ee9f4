"""Programs: load bytecode, open, describe, run on a packet."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterator
from ctypes import addressof, c_char
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Self

from inkev.base.errors import KernelError
from inkev.base.limits import MAPS_PER_PROGRAM
from inkev.bpf.descriptor import Descriptor
from inkev.bpf.pin import open_pin
from inkev.bpf.syscall import Buffer, Command, address, bpf, buffer, call, fd_by_id, kernel_name, next_id, read_info

_LOAD = Struct("=IIQQIIQII16sII")
_TEST = Struct("=IIIIQQIIIIQQIII4x")
_INFO = Struct("=II8sI44x16s48xI60xQQ8xI12x")
_INFO_MAPS = Struct("=52xIQ")
_DESCRIBE = Struct("=IIQ")
LOG_BYTES = 16 << 20
"""Address space for one verifier log; pages are only taken where the kernel writes."""

PACKET_ROOM = 4096
"""Bytes that a test run may add to the packet."""


class ProgramType(IntEnum):
    """enum bpf_prog_type, as far as inkev loads them."""

    SCHED_CLS = 3
    XDP = 6


class AttachType(IntEnum):
    """enum bpf_attach_type, as far as inkev attaches."""

    NONE = 0
    XDP = 37
    TCX_INGRESS = 46
    TCX_EGRESS = 47


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What the kernel says of a program."""

    type: int
    id: int
    tag: str
    name: str
    jited_bytes: int
    verified_instructions: int
    btf_id: int
    run_time_ns: int
    run_count: int


@dataclass(frozen=True, slots=True)
class TestRun:
    """What came out of a test run."""

    __test__ = False

    verdict: int
    packet: bytes
    context: bytes
    duration_ns: int


class LogMemory:
    """Anonymous memory for a verifier log; a 16 MiB log costs nothing until the kernel writes one."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, LOG_BYTES)
        self._view: Buffer | None = (c_char * LOG_BYTES).from_buffer(self._memory)
        self.address = addressof(self._view)

    def close(self) -> str:
        """Return what the kernel wrote, and give the memory back."""
        self._view = None
        end = self._memory.find(b"\0")
        text = self._memory[: max(end, 0)].decode("utf-8", "replace")
        self._memory.close()
        return text


class Program(Descriptor):
    """One held program."""

    __slots__ = ()

    @classmethod
    def load(cls, kind: ProgramType, code: bytes, *, name: str = "", attach: AttachType = AttachType.NONE,
             license: str = "Dual BSD/GPL") -> Self:  # noqa: A002
        """Return a program of this bytecode.

        Raises:
            KernelError: `verifier-refused`, with the verifier's log.
        """
        try:
            return cls(_load(kind, code, name, attach, license, None))
        except OSError as refusal:
            if refusal.errno == errno.EPERM:
                raise
        log = LogMemory()
        try:
            return cls(_load(kind, code, name, attach, license, log))
        except OSError as error:
            text = log.close()
            raise KernelError("verifier-refused", f"the kernel refused the program {name}", errno=error.errno or 0,
                              log=text, why=text.strip().rpartition("\n")[0] or str(error)) from None

    @classmethod
    def probe(cls, kind: ProgramType, code: bytes, attach: AttachType) -> None:
        """Return where the kernel would load this bytecode.

        Raises:
            OSError: the kernel's reason against it.
        """
        cls(_load(kind, code, "ikv_probe", attach, "Dual BSD/GPL", None)).close()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the program pinned here.

        Raises:
            FileNotFoundError: nothing is pinned here.
        """
        return cls(open_pin(path))

    @classmethod
    def by_id(cls, number: int) -> Self:
        """Return the program with this id.

        Raises:
            FileNotFoundError: it is gone.
        """
        return cls(fd_by_id(Command.PROG_GET_FD_BY_ID, number))

    @property
    def info(self) -> ProgramInfo:
        """What the kernel says of it now. Linux 4.13; verified instructions 5.16."""
        kind, number, tag, jited, name, btf, run_time, run_count, verified = _INFO.unpack(
            read_info(self.fileno(), _INFO.size).raw)
        return ProgramInfo(kind, number, tag.hex(), name.rstrip(b"\0").decode(), jited, verified, btf, run_time,
                           run_count)

    def map_ids(self) -> list[int]:
        """Return the ids of the maps that it uses."""
        room = buffer(b"", 4 * MAPS_PER_PROGRAM)
        info = buffer(_INFO_MAPS.pack(MAPS_PER_PROGRAM, address(room)), _INFO.size)
        call(Command.OBJ_GET_INFO_BY_FD, _DESCRIBE, self.fileno(), _INFO.size, address(info))
        count = _INFO_MAPS.unpack_from(info.raw)[0]
        return [int.from_bytes(room.raw[4 * place : 4 * place + 4], "little") for place in range(count)]

    def test_run(self, packet: bytes, *, repeat: int = 1, context: bytes = b"") -> TestRun:
        """Run it on a packet: verdict, packet and context after it, ns a run. Linux 5.10.

        Args:
            packet: at least 14 bytes, from the Ethernet header on.
            repeat: with more than one, each run gets what the one before left.
            context: struct xdp_md or __sk_buff to start with; empty for the kernel's own.
        """
        data, after = buffer(packet), buffer(b"", len(packet) + PACKET_ROOM)
        before = buffer(context) if context else None
        state = buffer(b"", len(context)) if context else None
        attr = buffer(_TEST.pack(self.fileno(), 0, len(packet), len(after), address(data), address(after), repeat, 0,
                                 len(context), len(context), address(before), address(state), 0, 0, 0))
        bpf(Command.PROG_TEST_RUN, attr)
        fields = _TEST.unpack(attr.raw)
        return TestRun(fields[1], after.raw[: fields[3]], b"" if state is None else state.raw[: fields[9]], fields[7])


def _load(kind: ProgramType, code: bytes, name: str, attach: AttachType, terms: str, log: LogMemory | None) -> int:
    held, licence = buffer(code), buffer(terms.encode() + b"\0")
    level, size, where = (1, LOG_BYTES, log.address) if log else (0, 0, 0)
    return call(Command.PROG_LOAD, _LOAD, kind, len(code) // 8, address(held), address(licence), level, size, where, 0,
                0, kernel_name(name), 0, attach)


def iter_program_ids() -> Iterator[int]:
    """Yield the id of every program in the kernel."""
    number: int | None = 0
    while (number := next_id(Command.PROG_GET_NEXT_ID, number or 0)) is not None:
        yield number

