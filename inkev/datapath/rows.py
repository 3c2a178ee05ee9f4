"""Rows of a table as bytes: which column lies where in a map's key or value, and the way there and back.

Pure: no kernel. `inkev.package.columns` knows what each type's bytes are, the layout where they go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from inkev.base.errors import UserError
from inkev.package.columns import decode, encode, format_value, parse_value
from inkev.package.layout import Field, MapLayout
from inkev.package.manifest import Column, Table

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one column lies."""

    in_key: bool
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Interfaces:
    """Names of the interfaces in a graph's namespace, both ways."""

    by_name: Mapping[str, int] = field(default_factory=dict)
    by_index: Mapping[int, str] = field(default_factory=dict)

    def find(self, name: str) -> int:
        """Return the index of an interface.

        Raises:
            UserError: `no-such-interface`.
        """
        try:
            return self.by_name[name]
        except KeyError:
            raise UserError("no-such-interface", f"there is no interface {name} in the graph's namespace",
                            hint="ip link shows the interfaces") from None

    def name(self, index: int) -> str:
        """Return the name of an interface; `#INDEX` where it is gone."""
        return self.by_index.get(index, f"#{index}")


class RowCodec:
    """Turns the rows of one table into keys and values, and back."""

    def __init__(self, table: Table, layout: MapLayout, interfaces: Callable[[], Interfaces]) -> None:
        """Find every column's place.

        Args:
            table: what the manifest declares.
            layout: of the map behind it.
            interfaces: asked once, when a column of type `interface` is met.

        Raises:
            UserError: `no-such-field`.
        """
        self._columns = table.columns
        self._layout = layout
        self._interfaces = interfaces
        self._known: Interfaces | None = None
        self._places = {name: find_place(layout, name, column) for name, column in table.columns.items()}

    def key(self, row: Mapping[str, Any]) -> bytes:
        """Return the key of the row's key columns."""
        key = bytearray(self._layout.key_size)
        for name, place in self._places.items():
            if place.in_key:
                self._put(key, name, place, row)
        return bytes(key)

    def value(self, row: Mapping[str, Any], before: bytes | None = None) -> bytes:
        """Return the row's value; what no writable column covers stays as it was before, or zero."""
        value = bytearray(before or bytes(self._layout.value_size))
        for name, place in self._places.items():
            if not place.in_key and not self._columns[name].read_only:
                self._put(value, name, place, row)
        return bytes(value)

    def check(self, row: Mapping[str, Any], *, key_only: bool = False) -> None:
        """Refuse columns that there are not, and rows that lack one.

        Raises:
            UserError: `unknown-column`, `missing-column`.
        """
        for name in row:
            if name not in self._columns:
                raise UserError("unknown-column", f"the table has no column {name}",
                                hint=f"it has {', '.join(self._columns)}")
        for name, column in self._columns.items():
            needed = not column.read_only and (self._places[name].in_key or not key_only)
            if needed and name not in row and column.default is None:
                raise UserError("missing-column", f"the row has no {name}", why=f"column {name} has no default",
                                hint=f"add {name}=...")

    def row(self, key: bytes, values: list[bytes]) -> Row:
        """Return the row of an entry; with a value for each CPU, numbers that are read only are summed."""
        return {name: self._show(name, self._columns[name], place, key, values)
                for name, place in self._places.items()}

    def _put(self, target: bytearray, name: str, place: Place, row: Mapping[str, Any]) -> None:
        column = self._columns[name]
        raw = row.get(name, column.default)
        value = parse_value(column.type, raw, values=column.values, minimum=column.minimum, maximum=column.maximum,
                            column=name, find_interface=self._find_interface)
        target[place.offset : place.offset + place.size] = encode(column.type, value, place.size, name)

    def _show(self, name: str, column: Column, place: Place, key: bytes, values: list[bytes]) -> Any:  # noqa: ANN401
        sources = [key] if place.in_key else values
        parts = [source[place.offset : place.offset + place.size] for source in sources]
        shown = decode(column.type, parts[0], column=name)
        if len(parts) > 1 and column.read_only and isinstance(shown, int):
            shown = sum(decode(column.type, part, column=name) for part in parts)
        return format_value(column.type, shown, column.values, self._name_interface)

    def _find_interface(self, name: str) -> int:
        return self._interface_names().find(name)

    def _name_interface(self, index: int) -> str:
        return self._interface_names().name(index)

    def _interface_names(self) -> Interfaces:
        if self._known is None:
            self._known = self._interfaces()
        return self._known


def find_place(layout: MapLayout, name: str, column: Column) -> Place:
    """Return where the column lies: by its `field`, else by its own name, in the key first.

    Raises:
        UserError: `no-such-field`.
    """
    side, _, path = column.field.partition(".")
    if side in {"key", "value"}:
        found = _span(layout, path, in_key=side == "key")
    else:
        path = column.field or name.replace("-", "_")
        found = _span(layout, path, in_key=True) or _span(layout, path, in_key=False)
    if found is None and not column.field and layout.type == "lpm_trie" and column.type.startswith("prefix"):
        found = Place(True, 0, layout.key_size)  # the whole key of an LPM trie is one prefix
    if found is None:
        raise UserError("no-such-field", f"column {name}: map {layout.name} has no field {column.field or name}",
                        why=f"key: {_names(layout.key)}; value: {_names(layout.value)}",
                        hint='name it by field = "key.NAME" or "value.NAME"')
    return found


def _span(layout: MapLayout, path: str, *, in_key: bool) -> Place | None:
    """Return the bytes of a field, of a struct that holds fields, or for an empty path of everything."""
    fields, size = (layout.key, layout.key_size) if in_key else (layout.value, layout.value_size)
    if not path:
        return Place(in_key, 0, size)
    held = [item for item in fields if item.name == path or item.name.startswith(f"{path}.")]
    if not held:
        return None
    start = min(item.offset for item in held)
    return Place(in_key, start, max(item.offset + item.size for item in held) - start)


def _names(fields: tuple[Field, ...]) -> str:
    return ", ".join(item.name or "(a number)" for item in fields) or "nothing"
