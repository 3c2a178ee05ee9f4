"""Operator-editable tables of running instances: rows in, map entries out."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import finalize

from inkev.base.cpus import possible_cpus
from inkev.base.errors import KernelError, UserError
from inkev.bpf.maps import PER_CPU, Map, MapType, split_cpus
from inkev.bpf.membarrier import wait_for_programs
from inkev.datapath.interfaces import read_links
from inkev.datapath.pins import GraphPins
from inkev.datapath.rows import Interfaces, Row, RowCodec
from inkev.datapath.specs import read_spec
from inkev.host.kernel import TableHandle
from inkev.package.layout import MapLayout
from inkev.package.manifest import Table

OpenMap = Callable[[str], Map]
NameInterfaces = Callable[[], Interfaces]
Engine = Callable[[OpenMap, Table, Mapping[str, MapLayout], NameInterfaces], TableHandle]
"""Makes a table of: how to open the instance's maps by name, what the manifest declares, layouts, interface names."""

_ARRAYS = frozenset({MapType.ARRAY, MapType.PERCPU_ARRAY})


@dataclass(frozen=True, slots=True)
class TableSite:
    """Where a table's maps are."""

    pins: GraphPins
    generations: tuple[int, ...]
    """Looked into first, for maps that a staged generation makes anew."""
    instance: str
    namespaces: tuple[str, ...] = ()
    """Where interfaces are named as long as no spec says."""

    def open_map(self, name: str) -> Map:
        """Return one of the instance's maps.

        Raises:
            UserError: `no-such-table`.
        """
        found = self.pins.find_map(self.generations, self.instance, name)
        if found is None:
            raise UserError("no-such-table", f"instance {self.instance} has no map {name} in graph {self.pins.name}",
                            hint="inkev status shows the instances that run")
        return Map.open(found)

    def interfaces(self) -> Interfaces:
        """Return the interfaces of the namespaces that the graph's hooks are in."""
        links = [link for netns in sorted(self._hook_namespaces()) for link in read_links(netns)]
        return Interfaces({link.name: link.ifindex for link in links}, {link.ifindex: link.name for link in links})

    def _hook_namespaces(self) -> set[str]:
        for number in self.generations:
            try:
                hooks = read_spec(self.pins.generation(number).spec).graph.hooks
            except FileNotFoundError:
                continue
            return {hook.netns for hook in hooks.values()} or {""}
        return set(self.namespaces) or {""}


def open_table(site: TableSite, table: Table, layouts: Mapping[str, MapLayout]) -> TableHandle:
    """Open a table of an instance.

    Raises:
        UserError: `no-such-table`: the instance has no such map.
    """
    return ENGINES[table.engine](site.open_map, table, layouts, site.interfaces)


class DirectTable:
    """A table whose rows are a map's entries."""

    def __init__(self, open_map: OpenMap, table: Table, layouts: Mapping[str, MapLayout],
                 interfaces: NameInterfaces) -> None:
        try:
            layout = layouts[table.map]
        except KeyError:
            raise UserError("no-such-table", f"the program declares no map {table.map}") from None
        self._name = table.map
        self._open_map = open_map
        self._codec = RowCodec(table, layout, interfaces)

    def rows(self) -> list[Row]:
        """Return every row in the order of keys; of an array, those that are not all zero."""
        with self._open_map(self._name) as held:
            return [self._codec.row(key, _values(held, stored)) for key, stored in sorted(_entries(held).items())]

    def add(self, row: Mapping[str, Any]) -> None:
        """Add or overwrite one row; fields that no column writes keep what they hold."""
        self._codec.check(row)
        key = self._codec.key(row)
        with self._open_map(self._name) as held:
            before = held.find(key)
            value = self._codec.value(row, None if before is None else _values(held, before)[0])
            _store(held, [(key, value)], self._name)

    def remove(self, row: Mapping[str, Any]) -> None:
        """Remove the row with the same key columns.

        Raises:
            UserError: `no-such-row`.
        """
        self._codec.check(row, key_only=True)
        key = self._codec.key(row)
        with self._open_map(self._name) as held:
            if key not in (_entries(held) if held.info.type in _ARRAYS else {}) and not _delete(held, key):
                shown = ", ".join(f"{name}={value}" for name, value in row.items())
                raise UserError("no-such-row", f"there is no row with {shown}",
                                hint="inkev table INSTANCE.TABLE list shows the rows")
            if held.info.type in _ARRAYS:
                held.update(key, bytes(held.stored_bytes))

    def load(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Make the table hold exactly these rows: new and changed ones first, then the others go."""
        with self._open_map(self._name) as held:
            before = _entries(held)
            wanted = self._wanted(rows, held, before)
            changed = [(key, value) for key, value in wanted.items()
                       if key not in before or _values(held, before[key])[0] != value]
            gone = [key for key in before if key not in wanted]
            try:
                _store(held, changed, self._name)
            except KernelError as error:
                if error.code != "table-full" or not gone:
                    raise
                _remove(held, gone)  # old and new together do not fit: rows are missing for a moment
                _store(held, changed, self._name)
            else:
                _remove(held, gone)

    def _wanted(self, rows: Iterable[Mapping[str, Any]], held: Map,
                before: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        wanted = {}
        for row in rows:
            self._codec.check(row)
            key = self._codec.key(row)
            stored = before.get(key)
            wanted[key] = self._codec.value(row, None if stored is None else _values(held, stored)[0])
        return wanted


def _entries(held: Map) -> dict[bytes, bytes]:
    """Return the entries that are rows."""
    items = held.items()
    if held.info.type in _ARRAYS:
        return {key: value for key, value in items if any(value)}
    return dict(items)


def _values(held: Map, stored: bytes) -> list[bytes]:
    """Return the value on each CPU; one for maps that are not per CPU."""
    return split_cpus(stored, held.info.value_size) if held.info.type in PER_CPU else [stored]


def _store(held: Map, items: list[tuple[bytes, bytes]], name: str) -> None:
    """Store entries; in a per-CPU map each CPU gets the value.

    Raises:
        KernelError: `table-full`.
    """
    if held.info.type in PER_CPU:
        stride = -(-held.info.value_size // 8) * 8
        items = [(key, value.ljust(stride, b"\0") * possible_cpus()) for key, value in items]
    try:
        held.update_all(items)
    except OSError as error:
        if error.errno not in {errno.E2BIG, errno.ENOSPC, errno.ENOMEM}:
            raise
        raise KernelError("table-full", f"the table of map {name} is full", errno=error.errno or 0,
                          why=f"it has room for {held.info.max_entries} rows",
                          hint="remove rows, or give the instance a larger map") from None


def _remove(held: Map, keys: list[bytes]) -> None:
    if held.info.type in _ARRAYS:
        held.update_all((key, bytes(held.stored_bytes)) for key in keys)
    else:
        held.delete_all(keys)


def _delete(held: Map, key: bytes) -> bool:
    return held.info.type not in _ARRAYS and held.delete(key)


def _open_classifier(open_map: OpenMap, table: Table, layouts: Mapping[str, MapLayout],  # noqa: ARG001
                     interfaces: NameInterfaces) -> TableHandle:
    """Return a table of ordered rules, whose three maps <inkev/classify.h> declares."""
    from inkev.datapath.classifier.table import ClassifierTable

    hits = open_map(f"{table.map}_hits")
    with open_map(table.map) as rules, open_map(f"{table.map}_tree") as tree:
        made = ClassifierTable(table, rules, tree, hits, grace=wait_for_programs,
                               find_interface=lambda name: interfaces().find(name))
    finalize(made, hits.close)
    return made


ENGINES: dict[str, Engine] = {"direct": DirectTable, "classifier": _open_classifier}
"""By the names that a manifest's `engine` uses."""
