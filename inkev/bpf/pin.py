"""Pins: names in bpffs that keep kernel objects alive when nobody holds them."""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct

from inkev.bpf.descriptor import Descriptor
from inkev.bpf.privileges import no_privileges
from inkev.bpf.syscall import Command, address, buffer, call

_OBJECT = Struct("=QII")
BPFFS_MAGIC = 0xCAFE4A11


def pin(held: Descriptor, path: Path) -> None:
    """Give the object this name, which must be free.

    Raises:
        FileExistsError: the name is taken.
    """
    name = buffer(os.fsencode(path) + b"\0")
    call(Command.OBJ_PIN, _OBJECT, address(name), held.fileno(), 0)


def repin(held: Descriptor, path: Path) -> None:
    """Give the object this name in one step, whatever had it before."""
    try:
        pin(held, path)
    except FileExistsError:
        _replace(held, path)


def _replace(held: Descriptor, path: Path) -> None:
    staged = path.with_name(path.name + "~new")
    staged.unlink(missing_ok=True)
    pin(held, staged)
    staged.rename(path)


def open_pin(path: Path, *, read_only: bool = False) -> int:
    """Return a new descriptor of the pinned object; its owner is the caller.

    Raises:
        FileNotFoundError: nothing has this name.
        KernelError: `no-privileges`.
    """
    name = buffer(os.fsencode(path) + b"\0")
    try:
        return call(Command.OBJ_GET, _OBJECT, address(name), 0, 0x8 if read_only else 0)
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, "nothing is pinned there", str(path)) from None
    except PermissionError as error:
        raise no_privileges(error) from None


def object_kind(held: Descriptor) -> str:
    """Return `map`, `prog` or `link`: what the descriptor stands for."""
    target = Path(f"/proc/self/fd/{held.fileno()}").readlink().name
    return target.removeprefix("anon_inode:").replace("_", "-").removeprefix("bpf-")
