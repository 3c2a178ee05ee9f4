"""Waiting until no CPU runs what it ran before (membarrier(2))."""

from __future__ import annotations

import ctypes
import os

from inkev.bpf.syscall import LIBC

_NUMBER = {"x86_64": 324, "ppc64le": 365, "s390x": 356}.get(os.uname().machine, 283)
_GLOBAL = 1

_syscall = LIBC["syscall"]  # a function object of its own, with argument types of its own
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_uint, ctypes.c_int)


def wait_for_programs() -> None:
    """Return once every CPU has been through the scheduler: programs entered before the call have ended. Linux 4.3."""
    if _syscall(_NUMBER, _GLOBAL, 0, 0) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"membarrier: {os.strerror(number)}")
