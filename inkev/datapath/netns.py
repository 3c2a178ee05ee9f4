"""Network namespaces: entering one for a while, by setns, in this thread alone."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inkev.base.errors import KernelError, UserError

NAMED = Path("/run/netns")
OWN = Path("/proc/thread-self/ns/net")
"""The namespace that this thread is in now."""
PROCESS = Path("/proc/self/ns/net")
"""The namespace that the process began in, whatever its threads entered since."""
_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def namespace_path(netns: str) -> Path:
    """Return the file of a namespace given as a name in /run/netns or as a path; the caller's own for an empty text.

    Raises:
        UserError: `no-such-namespace`.
    """
    if not netns:
        return OWN
    path = Path(netns) if "/" in netns else NAMED / netns
    if not path.exists():
        raise UserError("no-such-namespace", f"there is no network namespace {netns}", why=f"{path} does not exist",
                        hint="ip netns list shows those that have names")
    return path


@contextmanager
def inside(netns: str | Path) -> Iterator[None]:
    """Let this thread be in the namespace for the block; other threads stay where they are.

    Raises:
        UserError: `no-such-namespace`.
    """
    path = netns if isinstance(netns, Path) else namespace_path(netns)
    if path == OWN:
        yield
        return
    home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter_path(path)
        try:
            yield
        finally:
            _enter(home, OWN)
    finally:
        os.close(home)


def same_namespace(one: Path, other: Path) -> bool:
    """Return whether two files stand for the same namespace."""
    first, second = one.stat(), other.stat()
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def _enter_path(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(fd, path)
    finally:
        os.close(fd)


def _enter(fd: int, path: Path) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) < 0:
        number = ctypes.get_errno()
        raise KernelError("netns-refused", f"cannot enter the network namespace {path}", errno=number,
                          why=os.strerror(number), hint="run as root, or with CAP_SYS_ADMIN")
