"""Table rows as values: whether two sets of rows mean the same, however they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inkev.package.columns import parse_value
from inkev.package.manifest import Table


def same_rows(table: Table, one: Iterable[Mapping[str, Any]], other: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether two sets of rows mean the same; order counts for a classifier only.

    Raises:
        UserError: `bad-value`.
    """
    first, second = _normal(table, one), _normal(table, other)
    return first == second


def _normal(table: Table, rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    written = {name: column for name, column in table.columns.items() if not column.read_only}
    known: dict[tuple[str, object], str] = {}

    def value(name: str, raw: object) -> str:
        """Parse each distinct text once: large tables repeat few."""
        key = (name, raw if isinstance(raw, str | int | bool | float) else repr(raw))
        if key not in known:
            column = written[name]
            known[key] = repr(parse_value(column.type, raw, values=column.values, column=name))
        return known[key]

    found = [
        tuple(
            value(name, row.get(name, column.default)) if row.get(name, column.default) is not None else ""
            for name, column in written.items()
        )
        for row in rows
    ]
    return found if table.engine == "classifier" else sorted(found)
