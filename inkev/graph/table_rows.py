"""The rows of tables in graph files: every column that is unknown, missing or wrong, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inkev.base.errors import Fault, FaultList, UserError
from inkev.package.columns import parse_value
from inkev.package.manifest import Column, Table
from inkev.package.suggest import did_you_mean

Row = Mapping[str, object]


def check_rows(where: str, table: Table, rows: Iterable[Row], faults: FaultList) -> None:
    """Record every fault of a table's rows.

    Args:
        where: the table's place in the file.
        table: as its manifest declares it.
        rows: as written; names of interfaces are left to whoever writes them.
        faults: where to record what is wrong.
    """
    _Rows(where, table, faults).check(rows)


class _Rows:
    def __init__(self, where: str, table: Table, faults: FaultList) -> None:
        self._where = where
        self._table = table
        self._faults = faults
        self._writable = {name: column for name, column in table.columns.items() if not column.read_only}
        self._needed = {name for name, column in self._writable.items() if column.default is None}
        self._known: dict[tuple[str, type, object], Fault | None] = {}
        """What was found of a value before: large tables repeat few."""

    def check(self, rows: Iterable[Row]) -> None:
        for index, row in enumerate(rows):
            where = f"{self._where}[{index}]"
            given = row.keys()
            if given - self._writable.keys():
                self._unknown(where, row)
            for name in sorted(self._needed - given):
                self._faults.add("missing-column", f"column {name!r} must be given", where=where)
            for name, raw in row.items():
                if name in self._writable:
                    self._value(where, name, raw)

    def _unknown(self, where: str, row: Row) -> None:
        for name in sorted(row.keys() - self._writable.keys()):
            why = "it is read-only" if name in self._table.columns else ""
            self._faults.add("unknown-column", f"column {name!r} cannot be given", where=where, why=why,
                             hint=did_you_mean(name, self._writable))  # fmt: skip

    def _value(self, where: str, name: str, raw: object) -> None:
        key = (name, type(raw), raw if isinstance(raw, str | int | float) else repr(raw))
        if key not in self._known:
            self._known[key] = _fault(name, self._writable[name], raw)
        fault = self._known[key]
        if fault is not None:
            self._faults.add(fault.code, fault.message, where=f"{where}.{name}", why=fault.why, hint=fault.hint)


def _fault(name: str, column: Column, raw: object) -> Fault | None:
    try:
        parse_value(column.type, raw, values=column.values, minimum=column.minimum, maximum=column.maximum, column=name)
    except UserError as error:
        return error.faults[0]
    return None
