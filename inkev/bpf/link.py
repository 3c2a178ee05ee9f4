"""Links: a program attached to an interface for as long as somebody holds or pins the link."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Self

from inkev.bpf.descriptor import Descriptor
from inkev.bpf.pin import open_pin
from inkev.bpf.program import AttachType, Program
from inkev.bpf.syscall import Command, address, bpf, buffer, call, fd_by_id, next_id, read_info

_CREATE = Struct("=IIII4x4xQ")
_UPDATE = Struct("=IIII")
_DETACH = Struct("=I")
_INFO = Struct("=III4xII")
_QUERY = Struct("=IIIIQI4xQQQQ")

XDP_GENERIC = 1 << 1
XDP_NATIVE = 1 << 2
_REPLACE = 1 << 2
_ROOM = 64


class LinkType(IntEnum):
    """enum bpf_link_type, as far as inkev makes them."""

    XDP = 6
    TCX = 11


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What the kernel says of a link; `ifindex` 0: its interface is gone."""

    type: int
    id: int
    program_id: int
    ifindex: int
    attach_type: int
    """0 for XDP, which has only one."""


class Link(Descriptor):
    """One held link."""

    __slots__ = ()

    @classmethod
    def attach(cls, program: Program, ifindex: int, where: AttachType, flags: int = 0) -> Self:
        """Return a link that runs the program on the interface: XDP from Linux 5.9, TCX from 6.6.

        Args:
            program: runs after those that are attached already (TCX), or alone (XDP).
            ifindex: in the caller's network namespace.
            where: `XDP`, `TCX_INGRESS` or `TCX_EGRESS`.
            flags: for XDP, `XDP_NATIVE` or `XDP_GENERIC`.

        Raises:
            OSError: EBUSY: somebody else's program is there.
        """
        return cls(call(Command.LINK_CREATE, _CREATE, program.fileno(), ifindex, where, flags, 0))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the link pinned here.

        Raises:
            FileNotFoundError: nothing is pinned here.
        """
        return cls(open_pin(path))

    @classmethod
    def by_id(cls, number: int) -> Self:
        """Return the link with this id."""
        return cls(fd_by_id(Command.LINK_GET_FD_BY_ID, number))

    @property
    def info(self) -> LinkInfo:
        """What the kernel says of it now. Linux 5.8."""
        kind, number, program, ifindex, where = _INFO.unpack(read_info(self.fileno(), _INFO.size).raw)
        return LinkInfo(kind, number, program, ifindex, where if kind == LinkType.TCX else 0)

    def update(self, program: Program, replaced: Program | None = None) -> None:
        """Run this program instead, in one step; where `replaced` is given, only if that is what runs now."""
        flags, old = (_REPLACE, replaced.fileno()) if replaced else (0, 0)
        call(Command.LINK_UPDATE, _UPDATE, self.fileno(), program.fileno(), flags, old)

    def detach(self) -> None:
        """Take the program off its interface now, whoever else holds the link. Linux 5.9."""
        call(Command.LINK_DETACH, _DETACH, self.fileno())


def iter_link_ids() -> Iterator[int]:
    """Yield the id of every link in the kernel."""
    number: int | None = 0
    while (number := next_id(Command.LINK_GET_NEXT_ID, number or 0)) is not None:
        yield number


def query_tcx(ifindex: int, where: AttachType) -> list[int]:
    """Return the ids of the programs attached through TCX, in the order they run. Linux 6.6.

    Raises:
        OSError: EINVAL: the kernel has no TCX.
    """
    programs = buffer(b"", 4 * _ROOM)
    attr = buffer(_QUERY.pack(ifindex, where, 0, 0, address(programs), _ROOM, 0, 0, 0, 0))
    bpf(Command.PROG_QUERY, attr)
    count = _QUERY.unpack(attr.raw)[5]
    return [int.from_bytes(programs.raw[4 * place : 4 * place + 4], "little") for place in range(count)]
