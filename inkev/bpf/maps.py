"""Maps: create, open, read, write, freeze, share memory with."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Self

from inkev.base.cpus import possible_cpus
from inkev.bpf.descriptor import Descriptor
from inkev.bpf.pin import open_pin
from inkev.bpf.syscall import Command, address, bpf, buffer, call, fd_by_id, kernel_name, read_info

_CREATE = Struct("=7I16s5IQ")
_ELEMENT = Struct("=IIQQQ")
_BATCH = Struct("=QQQQIIQQ")
_FREEZE = Struct("=I")
_INFO = Struct("=6I16s24xI20x")

NO_PREALLOC = 1 << 0
MMAPABLE = 1 << 10
RDONLY_PROG = 1 << 7


class MapType(IntEnum):
    """enum bpf_map_type, as far as inkev creates or opens them."""

    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERF_EVENT_ARRAY = 4
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    STACK_TRACE = 7
    CGROUP_ARRAY = 8
    LRU_HASH = 9
    LRU_PERCPU_HASH = 10
    LPM_TRIE = 11
    ARRAY_OF_MAPS = 12
    HASH_OF_MAPS = 13
    DEVMAP = 14
    SOCKMAP = 15
    CPUMAP = 16
    XSKMAP = 17
    SOCKHASH = 18
    QUEUE = 22
    STACK = 23
    SK_STORAGE = 24
    DEVMAP_HASH = 25
    RINGBUF = 27
    TASK_STORAGE = 29
    BLOOM_FILTER = 30
    ARENA = 33


PER_CPU = frozenset({MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH})


@dataclass(frozen=True, slots=True)
class MapInfo:
    """What the kernel says of a map."""

    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    name: str
    btf_id: int


class Map(Descriptor):
    """One held map; values of per-CPU maps are those of every possible CPU, each padded to 8 bytes."""

    __slots__ = ("_info",)

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._info: MapInfo | None = None

    @classmethod
    def create(cls, kind: MapType, key_size: int, value_size: int, max_entries: int, *, flags: int = 0,
               name: str = "") -> Self:
        """Return a new map."""
        label = kernel_name(name)
        return cls(call(Command.MAP_CREATE, _CREATE, kind, key_size, value_size, max_entries, flags, 0, 0, label,
                        0, 0, 0, 0, 0, 0))

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Return the map pinned here.

        Raises:
            FileNotFoundError: nothing is pinned here.
        """
        return cls(open_pin(path, read_only=read_only))

    @classmethod
    def by_id(cls, number: int) -> Self:
        """Return the map with this id."""
        return cls(fd_by_id(Command.MAP_GET_FD_BY_ID, number))

    @property
    def info(self) -> MapInfo:
        """What the kernel says of it; asked once, for none of it can change."""
        if self._info is None:
            kind, number, key, value, entries, flags, name, btf = _INFO.unpack(read_info(self.fileno(), _INFO.size).raw)
            self._info = MapInfo(kind, number, key, value, entries, flags, name.rstrip(b"\0").decode(), btf)
        return self._info

    @property
    def stored_bytes(self) -> int:
        """Bytes that one lookup returns."""
        info = self.info
        if info.type in PER_CPU:
            return -(-info.value_size // 8) * 8 * possible_cpus()
        return info.value_size

    def find(self, key: bytes, size: int = 0) -> bytes | None:
        """Return the key's value, or None; who knows the `size` of what is stored spares the kernel a question."""
        held, value = buffer(key), buffer(b"", size or self.stored_bytes)
        try:
            call(Command.MAP_LOOKUP_ELEM, _ELEMENT, self.fileno(), 0, address(held), address(value), 0)
        except FileNotFoundError:
            return None
        return value.raw

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """Store the value under the key; flags 1: only a new key, 2: only a known one."""
        held, stored = buffer(key), buffer(value)
        call(Command.MAP_UPDATE_ELEM, _ELEMENT, self.fileno(), 0, address(held), address(stored), flags)

    def point(self, index: int, target: Descriptor) -> None:
        """Let element `index` of a prog array, or of an array of maps, stand for the target."""
        self.update(index.to_bytes(4, "little"), target.fileno().to_bytes(4, "little"))

    def delete(self, key: bytes) -> bool:
        """Remove the key; return whether it was there."""
        held = buffer(key)
        try:
            call(Command.MAP_DELETE_ELEM, _ELEMENT, self.fileno(), 0, address(held), 0, 0)
        except FileNotFoundError:
            return False
        return True

    def iter_keys(self) -> Iterator[bytes]:
        """Yield every key; one deleted meanwhile makes a hash map start again, so keys may come twice."""
        size = self.info.key_size
        key, following = None, buffer(b"", size)
        while True:
            try:
                call(Command.MAP_GET_NEXT_KEY, _ELEMENT, self.fileno(), 0, address(key), address(following), 0)
            except FileNotFoundError:
                return
            yield following.raw
            key, following = following, key or buffer(b"", size)

    def freeze(self) -> None:
        """Refuse writes from user space from now on. Linux 5.2."""
        call(Command.MAP_FREEZE, _FREEZE, self.fileno())

    def memory(self, *, writable: bool = True) -> mmap.mmap:
        """Return a mapping of an mmapable array's values; it outlives the descriptor. Linux 5.5."""
        info = self.info
        length = -(-info.value_size // 8) * 8 * info.max_entries
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        return mmap.mmap(self.fileno(), length, mmap.MAP_SHARED, access)

    def items(self, chunk: int = 4096) -> list[tuple[bytes, bytes]]:
        """Return all entries, by batches where the kernel has them for this type (hash 5.6, LPM trie 5.16)."""
        try:
            return self._read_batches(chunk)
        except OSError as error:
            if error.errno not in {22, 524, 95}:  # EINVAL, ENOTSUPP, EOPNOTSUPP: no batches for this type
                raise
        return [(key, value) for key in self.iter_keys() if (value := self.find(key)) is not None]

    def _read_batches(self, chunk: int) -> list[tuple[bytes, bytes]]:
        key_size, value_size = self.info.key_size, self.stored_bytes
        found: list[tuple[bytes, bytes]] = []
        cursor, following = None, buffer(b"", max(key_size, 4))
        while True:
            keys, values = buffer(b"", chunk * key_size), buffer(b"", chunk * value_size)
            count, last = self._lookup_batch(cursor, following, keys, values, chunk)
            if count < 0:  # ENOSPC: one bucket of the hash holds more than the chunk
                chunk *= 2
                continue
            found += zip(_split(keys.raw, key_size, count), _split(values.raw, value_size, count), strict=True)
            if last:
                return found
            cursor, following = following, buffer(b"", max(key_size, 4))

    def _lookup_batch(self, cursor: ctypes.Array[ctypes.c_char] | None, following: ctypes.Array[ctypes.c_char],
                      keys: ctypes.Array[ctypes.c_char], values: ctypes.Array[ctypes.c_char],
                      chunk: int) -> tuple[int, bool]:
        attr = buffer(_BATCH.pack(address(cursor), address(following), address(keys), address(values), chunk,
                                  self.fileno(), 0, 0))
        last = False
        try:
            bpf(Command.MAP_LOOKUP_BATCH, attr)
        except FileNotFoundError:
            last = True
        except OSError as error:
            if error.errno != 28:
                raise
            return -1, False
        return int(_BATCH.unpack(attr.raw)[4]), last

    def update_all(self, items: Iterable[tuple[bytes, bytes]], chunk: int = 8192) -> None:
        """Store every entry, by batches where the kernel has them."""
        pairs = list(items)
        for start in range(0, len(pairs), chunk):
            part = pairs[start : start + chunk]
            self._write(Command.MAP_UPDATE_BATCH, [key for key, _ in part], [value for _, value in part])

    def delete_all(self, keys: Iterable[bytes], chunk: int = 8192) -> None:
        """Remove every one of the keys, by batches where the kernel has them; one that is gone is no error."""
        every = list(keys)
        for start in range(0, len(every), chunk):
            self._write(Command.MAP_DELETE_BATCH, every[start : start + chunk], None)

    def _write(self, command: Command, keys: list[bytes], values: list[bytes] | None) -> None:
        """Write one batch; from where the kernel stops, go on one by one."""
        joined, stored = buffer(b"".join(keys)), None if values is None else buffer(b"".join(values))
        attr = buffer(_BATCH.pack(0, 0, address(joined), address(stored), len(keys), self.fileno(), 0, 0))
        try:
            bpf(command, attr)
        except OSError as error:
            if error.errno not in {2, 22, 524, 95}:  # ENOENT: a key of a deletion was gone
                raise
        else:
            return
        for position, key in enumerate(keys):
            if values is None:
                self.delete(key)
            else:
                self.update(key, values[position])


def _split(data: bytes, size: int, count: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, size * count, size)]


def split_cpus(stored: bytes, value_size: int) -> list[bytes]:
    """Return the value of each CPU out of what a lookup in a per-CPU map returned."""
    stride = -(-value_size // 8) * 8
    return [stored[start : start + value_size] for start in range(0, len(stored), stride)]
