"""libbpf.so.1, thinly: open an object from memory, adjust its maps and programs, load it.

Only what bpf(2) alone cannot do: reading ELF, relocations, BTF. Its messages go to the error that they belong to,
never to the terminal.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from inkev.base.errors import KernelError
from inkev.bpf.maps import Map
from inkev.bpf.privileges import no_privileges
from inkev.bpf.program import LOG_BYTES, AttachType, LogMemory, Program, ProgramType
from inkev.bpf.syscall import LIBC

_PRINT = CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
_messages: list[str] = []

_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "libbpf_set_print": (c_void_p, [_PRINT]),
    "bpf_object__open_mem": (c_void_p, [c_char_p, c_size_t, c_void_p]),
    "bpf_object__next_map": (c_void_p, [c_void_p, c_void_p]),
    "bpf_object__next_program": (c_void_p, [c_void_p, c_void_p]),
    "bpf_object__btf_fd": (c_int, [c_void_p]),
    "bpf_object__load": (c_int, [c_void_p]),
    "bpf_object__close": (None, [c_void_p]),
    "bpf_map__name": (c_char_p, [c_void_p]),
    "bpf_map__fd": (c_int, [c_void_p]),
    "bpf_map__type": (c_uint32, [c_void_p]),
    "bpf_map__key_size": (c_uint32, [c_void_p]),
    "bpf_map__value_size": (c_uint32, [c_void_p]),
    "bpf_map__max_entries": (c_uint32, [c_void_p]),
    "bpf_map__map_flags": (c_uint32, [c_void_p]),
    "bpf_map__set_max_entries": (c_int, [c_void_p, c_uint32]),
    "bpf_map__set_pin_path": (c_int, [c_void_p, c_char_p]),
    "bpf_map__reuse_fd": (c_int, [c_void_p, c_int]),
    "bpf_map__initial_value": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "bpf_program__name": (c_char_p, [c_void_p]),
    "bpf_program__fd": (c_int, [c_void_p]),
    "bpf_program__set_type": (c_int, [c_void_p, c_uint32]),
    "bpf_program__set_expected_attach_type": (c_int, [c_void_p, c_uint32]),
    "bpf_program__set_flags": (c_int, [c_void_p, c_uint32]),
    "bpf_program__set_log_buf": (c_int, [c_void_p, c_void_p, c_size_t]),
}


def _collect(level: int, template: bytes, arguments: int) -> int:
    """Keep libbpf's warnings for the error that may follow; what it says beyond that is noise."""
    if level == 0:
        room = ctypes.create_string_buffer(4096)
        LIBC.vsnprintf(room, c_size_t(4096), template, c_void_p(arguments))
        _messages.append(room.value.decode("utf-8", "replace").rstrip())
    return 0


_PRINTER = _PRINT(_collect)
"""Kept for as long as libbpf may call it."""


@cache
def library() -> ctypes.CDLL:
    """Return libbpf with its functions typed.

    Raises:
        KernelError: `no-libbpf`.
    """
    try:
        loaded = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise KernelError("no-libbpf", "libbpf is not installed", why=str(error),
                          hint="apt-get install libbpf1") from None
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    loaded.libbpf_set_print(_PRINTER)
    return loaded


class ObjectMap:
    """A map of an open object; valid until the object is closed."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer
        self.name: str = library().bpf_map__name(pointer).decode()

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Type, key size, value size, entries, flags: what a map to be reused must have too."""
        lib, own = library(), self._pointer
        return (lib.bpf_map__type(own), lib.bpf_map__key_size(own), lib.bpf_map__value_size(own),
                lib.bpf_map__max_entries(own), lib.bpf_map__map_flags(own))

    def set_max_entries(self, count: int) -> None:
        """Make it this large when the object is loaded."""
        _check(library().bpf_map__set_max_entries(self._pointer, count), f"resize {self.name}")

    def reuse(self, held: Map) -> None:
        """Use this map instead of a new one; libbpf keeps a descriptor of its own and leaves the contents alone."""
        _check(library().bpf_map__reuse_fd(self._pointer, held.fileno()), f"reuse {self.name}")

    def take(self) -> Map:
        """Return the loaded map as one of the caller's."""
        return Map(os.dup(library().bpf_map__fd(self._pointer)))

    def initial_value(self) -> bytes:
        """Return what a data section starts with; empty for other maps."""
        size = c_size_t()
        where = library().bpf_map__initial_value(self._pointer, ctypes.byref(size))
        return ctypes.string_at(where, size.value) if where else b""


class Object:
    """A BPF ELF object: opened, adjusted, loaded; closing frees all that was not taken or pinned."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    @classmethod
    def open(cls, elf: bytes) -> Self:
        """Return the object, nothing of it in the kernel yet.

        Raises:
            KernelError: `bad-object`: libbpf cannot read it.
        """
        _messages.clear()
        pointer = library().bpf_object__open_mem(elf, len(elf), None)
        if not pointer:
            raise KernelError("bad-object", "libbpf cannot read the object", errno=ctypes.get_errno(),
                              why="\n".join(_messages))
        return cls(pointer)

    def iter_maps(self) -> Iterator[ObjectMap]:
        """Yield its maps, data sections among them (named as the section)."""
        current = None
        while current := library().bpf_object__next_map(self._pointer, current):
            yield ObjectMap(current)

    def iter_programs(self) -> Iterator[str]:
        """Yield the names of its programs."""
        for pointer in self._programs():
            yield library().bpf_program__name(pointer).decode()

    def load(self, kind: ProgramType, attach: AttachType, *, need_btf: bool = True) -> None:
        """Load every program as this type, so that all fit into one prog array.

        Raises:
            KernelError: `verifier-refused` with the whole log, `btf-refused`, `load-refused`; nothing stays.
        """
        lib, log = library(), LogMemory()
        for pointer in self._programs():
            lib.bpf_program__set_type(pointer, kind)
            lib.bpf_program__set_expected_attach_type(pointer, attach)
            lib.bpf_program__set_flags(pointer, 0)
            lib.bpf_program__set_log_buf(pointer, log.address, LOG_BYTES)
        _messages.clear()
        status = lib.bpf_object__load(self._pointer)
        text = log.close()
        if status < 0:
            raise _refusal(-status, text)
        if need_btf and lib.bpf_object__btf_fd(self._pointer) < 0:
            raise KernelError("btf-refused", "the kernel refused the object's type information (BTF)",
                              why="\n".join(_messages) or "the object has none")

    def take_program(self, name: str) -> Program:
        """Return the loaded program as one of the caller's."""
        lib = library()
        for pointer in self._programs():
            if lib.bpf_program__name(pointer) == name.encode():
                return Program(os.dup(lib.bpf_program__fd(pointer)))
        raise KernelError("bad-object", f"the object has no program named {name}")

    def close(self) -> None:
        """Free it; what was taken or pinned stays."""
        pointer, self._pointer = self._pointer, 0
        if pointer:
            library().bpf_object__close(pointer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _programs(self) -> Iterator[int]:
        current = None
        while current := library().bpf_object__next_program(self._pointer, current):
            yield current


def load_file(path: Path, kind: ProgramType, attach: AttachType) -> Program:
    """Return the first program of an object file, loaded; its maps live as long as it does."""
    with Object.open(path.read_bytes()) as opened:
        opened.load(kind, attach)
        return opened.take_program(next(opened.iter_programs()))


def _check(status: int, what: str) -> None:
    if status < 0:
        raise KernelError("load-refused", f"libbpf could not {what}", errno=-status,
                          why="\n".join(_messages) or os.strerror(-status))


def _refusal(number: int, log: str) -> KernelError:
    """Tell a verifier's refusal from others: only the verifier ends its log with its own statistics."""
    said = "\n".join(_messages)
    if "processed " in log:
        return KernelError("verifier-refused", "the kernel's verifier refused the program", errno=number, log=log,
                           why=last_words(log))
    if number == errno.EPERM:
        return no_privileges(PermissionError(number, os.strerror(number)), said)
    return KernelError("load-refused", "the kernel refused the object", errno=number, log=log or said,
                       why=last_words(log) or said or os.strerror(number))


def last_words(log: str) -> str:
    """Return the line of a verifier log that says what is wrong: the last before the statistics."""
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith(("processed ", "max_states"))]
    lines = [line for line in lines if not line.startswith(("verification time", "stack depth", "insns (limit"))]
    return lines[-1] if lines else ""
