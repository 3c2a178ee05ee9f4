"""bpf(2) itself: one call, its commands, and the layouts of its arguments (include/uapi/linux/bpf.h).

Knows nothing of maps or programs; errors leave as OSError for the modules above to explain.
"""

from __future__ import annotations

import ctypes
import os
from enum import IntEnum
from struct import Struct

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}
_NUMBER = _NUMBERS.get(os.uname().machine, 280)

LIBC = ctypes.CDLL(None, use_errno=True)
_syscall = LIBC["syscall"]
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)

Buffer = ctypes.Array[ctypes.c_char]
"""Memory that the kernel reads or writes; keep a reference for as long as it may."""


class Command(IntEnum):
    """enum bpf_cmd, as far as inkev uses it."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_TEST_RUN = 10
    PROG_GET_NEXT_ID = 11
    MAP_GET_NEXT_ID = 12
    PROG_GET_FD_BY_ID = 13
    MAP_GET_FD_BY_ID = 14
    OBJ_GET_INFO_BY_FD = 15
    PROG_QUERY = 16
    BTF_LOAD = 18
    MAP_FREEZE = 22
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26
    MAP_DELETE_BATCH = 27
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_GET_FD_BY_ID = 30
    LINK_GET_NEXT_ID = 31
    LINK_DETACH = 34


def buffer(data: bytes, size: int | None = None) -> Buffer:
    """Return memory that starts with `data` and is `size` bytes long, the rest zero."""
    return ctypes.create_string_buffer(data, len(data) if size is None else size)


def address(memory: Buffer | None) -> int:
    """Return where the memory lies; 0 for None."""
    return 0 if memory is None else ctypes.addressof(memory)


def bpf(command: Command, attr: Buffer) -> int:
    """Make the call and return its result; results that the kernel writes into `attr` stand there.

    Raises:
        OSError: with the kernel's errno.
    """
    while True:
        result: int = _syscall(_NUMBER, command, ctypes.addressof(attr), len(attr))
        if result >= 0:
            return result
        errno = ctypes.get_errno()
        if errno != 4:  # EINTR: a signal came while the verifier or a test run was busy
            raise OSError(errno, f"{command.name}: {os.strerror(errno)}")


def call(command: Command, layout: Struct, *values: int | bytes) -> int:
    """Make a call that has no results but its return value."""
    return bpf(command, buffer(layout.pack(*values)))


def kernel_name(text: str) -> bytes:
    """Return the text as the kernel accepts it for an object's name: 15 bytes of letters, digits, `_` and `.`."""
    return "".join(char if char.isalnum() or char in "_." else "_" for char in text).encode("ascii", "replace")[:15]


def read_info(fd: int, size: int) -> Buffer:
    """Return the first `size` bytes of what the kernel says of an object; shorter kernels leave zeros. Linux 4.13."""
    info = buffer(b"", size)
    call(Command.OBJ_GET_INFO_BY_FD, _INFO, fd, size, address(info))
    return info


def next_id(command: Command, after: int) -> int | None:
    """Return the smallest id above `after`, or None at the end."""
    attr = buffer(_ID.pack(after, 0, 0))
    try:
        bpf(command, attr)
    except FileNotFoundError:
        return None
    return int(_ID.unpack(attr.raw)[1])


def fd_by_id(command: Command, number: int) -> int:
    """Return a new descriptor of the object with this id.

    Raises:
        FileNotFoundError: it is gone.
    """
    return call(command, _ID, number, 0, 0)


_INFO = Struct("=IIQ")
_ID = Struct("=III")
