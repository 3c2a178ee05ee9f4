"""The few rtnetlink requests that hooks need: list links, find a peer's namespace, tc filters (rtnetlink(7)).

Spoken directly: a library's import alone would cost more than a whole command that changes nothing may take.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Self

_HEADER = Struct("=IHHII")
_ATTRIBUTE = Struct("=HH")
_LINK = Struct("=BxHiII")
_TC = Struct("=B3xiIII")
_GEN = Struct("=B3x")

_REQUEST, _ACK, _DUMP, _EXCL, _CREATE = 0x1, 0x4, 0x300, 0x200, 0x400
_ERROR, _DONE = 2, 3
_NEWLINK, _GETLINK = 16, 18
_NEWQDISC, _GETQDISC = 36, 38
_NEWTFILTER, _DELTFILTER, _GETTFILTER = 44, 45, 46
_GETNSID = 90

_IFLA_IFNAME, _IFLA_LINK, _IFLA_LINKINFO, _IFLA_LINK_NETNSID, _IFLA_XDP = 3, 5, 18, 37, 43
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_XDP_ATTACHED, _IFLA_XDP_PROG_ID = 2, 4
_IFLA_TUN_VNET_HDR = 5
_IFF_UP = 1
_TCA_KIND, _TCA_OPTIONS = 1, 2
_TCA_BPF_FD, _TCA_BPF_NAME, _TCA_BPF_FLAGS, _TCA_BPF_ID = 6, 7, 8, 11
_DIRECT_ACTION = 1

CLSACT = 0xFFFFFFF1
INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
"""Parents of clsact's filters (TC_H_MIN_INGRESS, TC_H_MIN_EGRESS)."""
ALL_PROTOCOLS = 0x0300
"""ETH_P_ALL in network order, as tcm_info holds it."""

XDP_MODES = {1: "native", 2: "generic", 3: "offloaded", 4: "several"}


@dataclass(frozen=True, slots=True)
class NetLink:
    """One interface as rtnetlink tells of it."""

    name: str
    ifindex: int
    up: bool
    kind: str = ""
    """veth, bridge, tun, ...; empty for hardware and loopback."""
    peer_ifindex: int = 0
    peer_nsid: int | None = None
    """Id of the peer's namespace where that is another one."""
    xdp_mode: str = ""
    xdp_program: int = 0
    info: dict[int, bytes] = field(default_factory=dict)
    """What is particular to the kind, by attribute."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One BPF filter of a clsact qdisc."""

    priority: int
    handle: int
    name: str
    program_id: int


class Route:
    """A socket to rtnetlink in the namespace that the thread was in when it was made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def links(self) -> list[NetLink]:
        """Return every interface of the namespace."""
        return [_parse_link(body) for body in self._ask(_GETLINK, _DUMP, _LINK.pack(0, 0, 0, 0, 0))]

    def namespace_id(self, namespace: Path) -> int | None:
        """Return the id that this namespace knows another one by, or None."""
        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            answers = list(self._ask(_GETNSID, 0, _GEN.pack(0) + _attribute(3, fd.to_bytes(4, "little"))))
        except OSError:  # EINVAL: a file in /run/netns that is no namespace any more
            return None
        finally:
            os.close(fd)
        number = int.from_bytes(_attributes(answers[0][_GEN.size :]).get(1, b"\xff" * 4), "little", signed=True)
        return None if number < 0 else number

    def add_clsact(self, ifindex: int) -> None:
        """Make sure of the interface's clsact qdisc.

        Raises:
            OSError: EEXIST: another qdisc (`ingress`) stands in its place.
        """
        body = _TC.pack(0, ifindex, CLSACT & 0xFFFF0000, CLSACT, 0) + _attribute(_TCA_KIND, b"clsact\0")
        try:
            list(self._ask(_NEWQDISC, _CREATE | _EXCL | _ACK, body))
        except FileExistsError:
            if "clsact" not in self._qdiscs(ifindex):
                raise

    def _qdiscs(self, ifindex: int) -> set[str]:
        found = set()
        for body in self._ask(_GETQDISC, _DUMP, _TC.pack(0, 0, 0, 0, 0)):
            if _TC.unpack_from(body)[1] == ifindex:
                found.add(_attributes(body[_TC.size :]).get(_TCA_KIND, b"").rstrip(b"\0").decode())
        return found

    def filters(self, ifindex: int, parent: int) -> list[Filter]:
        """Return the BPF filters of one direction, in the order they run; none where there is no clsact."""
        try:
            bodies = list(self._ask(_GETTFILTER, _DUMP, _TC.pack(0, ifindex, 0, parent, 0)))
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENOENT, errno.ENODEV}:
                return []
            raise
        return [found for body in bodies if (found := _parse_filter(body)) is not None]

    def add_filter(self, ifindex: int, parent: int, priority: int, program_fd: int, name: str) -> None:
        """Run a program as a direct-action filter of its own priority.

        Raises:
            OSError: EEXIST: somebody has a filter with this priority.
        """
        options = (_attribute(_TCA_BPF_FD, program_fd.to_bytes(4, "little"))
                   + _attribute(_TCA_BPF_NAME, name.encode() + b"\0")
                   + _attribute(_TCA_BPF_FLAGS, _DIRECT_ACTION.to_bytes(4, "little")))
        body = (_TC.pack(0, ifindex, 1, parent, priority << 16 | ALL_PROTOCOLS)
                + _attribute(_TCA_KIND, b"bpf\0") + _attribute(_TCA_OPTIONS, options))
        list(self._ask(_NEWTFILTER, _CREATE | _EXCL | _ACK, body))

    def delete_filter(self, ifindex: int, parent: int, held: Filter) -> None:
        """Take exactly this filter away; one that is gone is no error."""
        body = (_TC.pack(0, ifindex, held.handle, parent, held.priority << 16 | ALL_PROTOCOLS)
                + _attribute(_TCA_KIND, b"bpf\0"))
        try:
            list(self._ask(_DELTFILTER, _ACK, body))
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENODEV, errno.EINVAL}:
                raise

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        """Send a request and yield the bodies of its answers."""
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)
        while True:
            data = self._socket.recv(1 << 16)
            while len(data) >= _HEADER.size:
                length, answer, _, _, _ = _HEADER.unpack_from(data)
                content, data = data[_HEADER.size : length], data[_align(length) :]
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    _raise_error(content)
                    return
                yield content
            if not flags & (_DUMP | _ACK):
                return


def _raise_error(content: bytes) -> None:
    number = -int.from_bytes(content[:4], "little", signed=True)
    if number:
        raise OSError(number, f"rtnetlink: {os.strerror(number)}")


def _align(length: int) -> int:
    return (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_align(length) - length)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[_ATTRIBUTE.size : length]
        data = data[_align(length) :]
    return found


def _number(value: bytes | None, *, signed: bool = False) -> int:
    return int.from_bytes(value or b"", "little", signed=signed)


def _parse_link(body: bytes) -> NetLink:
    _, _, ifindex, flags, _ = _LINK.unpack_from(body)
    found = _attributes(body[_LINK.size :])
    info, xdp = _attributes(found.get(_IFLA_LINKINFO, b"")), _attributes(found.get(_IFLA_XDP, b""))
    nsid = found.get(_IFLA_LINK_NETNSID)
    return NetLink(
        name=found[_IFLA_IFNAME].rstrip(b"\0").decode(), ifindex=ifindex, up=bool(flags & _IFF_UP),
        kind=info.get(_IFLA_INFO_KIND, b"").rstrip(b"\0").decode(), peer_ifindex=_number(found.get(_IFLA_LINK)),
        peer_nsid=None if nsid is None else _number(nsid, signed=True),
        xdp_mode=XDP_MODES.get(_number(xdp.get(_IFLA_XDP_ATTACHED)), ""),
        xdp_program=_number(xdp.get(_IFLA_XDP_PROG_ID)), info=_attributes(info.get(_IFLA_INFO_DATA, b"")))


def _parse_filter(body: bytes) -> Filter | None:
    _, _, handle, _, info = _TC.unpack_from(body)
    found = _attributes(body[_TC.size :])
    options = _attributes(found.get(_TCA_OPTIONS, b""))
    if found.get(_TCA_KIND) != b"bpf\0" or _TCA_BPF_ID not in options:
        return None  # another classifier, or the line that stands for a whole priority
    return Filter(info >> 16, handle, options.get(_TCA_BPF_NAME, b"").rstrip(b"\0").decode(),
                  _number(options[_TCA_BPF_ID]))
