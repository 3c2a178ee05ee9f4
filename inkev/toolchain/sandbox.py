"""What the worker gives up before it looks at anybody's bitcode: identity, memory without end, and system calls.

After `confine` the process can compute, allocate, read and write what it has open, and end; nothing else. Whatever is
not listed fails with EPERM.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
from typing import Final

from inkev.base.limits import LINK_MEMORY_BYTES

NOBODY = 65534
_CPU_SECONDS = 3600
_OPEN_FILES = 16

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_PR_SET_DUMPABLE = 4
_SECCOMP_MODE_FILTER = 2

_RET_ALLOW = 0x7FFF0000
_RET_ERRNO = 0x00050000
_RET_KILL = 0x80000000
_LOAD_WORD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER_EQUAL = 0x35
_RETURN = 0x06
_OFFSET_NUMBER = 0
_OFFSET_ARCHITECTURE = 4
_X32_BIT = 0x40000000

_MACHINES: Final[dict[str, tuple[int, dict[str, int]]]] = {
    "x86_64": (
        0xC000003E,
        {
            "read": 0,
            "write": 1,
            "close": 3,
            "fstat": 5,
            "lseek": 8,
            "mmap": 9,
            "mprotect": 10,
            "munmap": 11,
            "brk": 12,
            "rt_sigaction": 13,
            "rt_sigprocmask": 14,
            "rt_sigreturn": 15,
            "madvise": 28,
            "mremap": 25,
            "getpid": 39,
            "gettid": 186,
            "tgkill": 234,
            "exit": 60,
            "exit_group": 231,
            "futex": 202,
            "clock_gettime": 228,
            "getrusage": 98,
            "getrandom": 318,
            "sched_yield": 24,
            "sigaltstack": 131,
            "prlimit64": 302,
            "sched_getaffinity": 204,
            "readv": 19,
            "writev": 20,
            "sysinfo": 99,
            "rseq": 334,
            "restart_syscall": 219,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "read": 63,
            "write": 64,
            "close": 57,
            "fstat": 80,
            "lseek": 62,
            "mmap": 222,
            "mprotect": 226,
            "munmap": 215,
            "brk": 214,
            "rt_sigaction": 134,
            "rt_sigprocmask": 135,
            "rt_sigreturn": 139,
            "madvise": 233,
            "mremap": 216,
            "getpid": 172,
            "gettid": 178,
            "tgkill": 131,
            "exit": 93,
            "exit_group": 94,
            "futex": 98,
            "clock_gettime": 113,
            "getrusage": 165,
            "getrandom": 278,
            "sched_yield": 124,
            "sigaltstack": 132,
            "prlimit64": 261,
            "sched_getaffinity": 123,
            "readv": 65,
            "writev": 66,
            "sysinfo": 179,
            "rseq": 293,
            "restart_syscall": 128,
        },
    ),
}
_RESTART_BLOCKED = frozenset({"prlimit64"})
"""Listed for their numbers only; nothing needs them once the limits are set."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def confine() -> None:
    """Give up what is not needed, for good.

    Raises:
        OSError: the kernel did not take a restriction; the process must not go on.
    """
    _limit()
    _become_nobody()
    library = ctypes.CDLL(None, use_errno=True)
    _control(library, _PR_SET_NO_NEW_PRIVS, 1, 0)
    _control(library, _PR_SET_DUMPABLE, 0, 0)
    code = filter_code()
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    _control(library, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))


def _limit() -> None:
    for kind, value in (
        (resource.RLIMIT_AS, LINK_MEMORY_BYTES),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def _become_nobody() -> None:
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _control(library: ctypes.CDLL, option: int, first: int, second: int) -> None:
    if library.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def filter_code() -> bytes:
    """Return the seccomp filter: classic BPF over struct seccomp_data (include/uapi/linux/seccomp.h)."""
    architecture, calls = _MACHINES[platform.machine()]
    allowed = sorted({number for name, number in calls.items() if name not in _RESTART_BLOCKED})
    refused = _statement(_RETURN, _RET_ERRNO | errno.EPERM)
    lines = [
        _statement(_LOAD_WORD, _OFFSET_ARCHITECTURE),
        _jump(_JUMP_EQUAL, architecture, 1, 0),
        _statement(_RETURN, _RET_KILL),
        _statement(_LOAD_WORD, _OFFSET_NUMBER),
        _jump(_JUMP_GREATER_EQUAL, _X32_BIT, len(allowed), 0),
    ]
    lines += [_jump(_JUMP_EQUAL, number, len(allowed) - place, 0) for place, number in enumerate(allowed)]
    return b"".join([*lines, refused, _statement(_RETURN, _RET_ALLOW)])


def _statement(code: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, 0, 0, value)


def _jump(code: int, value: int, yes: int, no: int) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)
