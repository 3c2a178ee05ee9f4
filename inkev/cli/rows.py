"""Table rows as people write them: `column=value` words, and TOML, JSON or CSV files."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomli

from inkev.base.errors import Fault, Faults, UserError

Row = dict[str, Any]
STANDARD_INPUT = "-"
ROWS = "rows"
_FORMS = f"write [[{ROWS}]] tables (TOML), a list of objects (JSON), or lines under a line of columns (.csv)"


def parse_words(words: Iterable[str], form: str = "dport=443") -> Row:
    """Return the row that `src=10.0.0.0/8 dport=443` states.

    Args:
        words: one for each column.
        form: what one looks like, for who has written something else.

    Raises:
        Faults: every word that is not `column=value`, or that names a column again.
    """
    row: Row = {}
    faults: list[Fault] = []
    for word in words:
        column, equals, value = word.partition("=")
        if not equals or not column:
            faults.append(Fault("bad-row", f"{word!r} is not NAME=VALUE", hint=f"write it as {form}"))
        elif column in row:
            faults.append(Fault("bad-row", f"{column} is given twice"))
        row[column] = value
    if faults:
        raise Faults(faults)
    return row


def read_rows(file: str, table: str = ROWS) -> list[Row]:
    """Return the rows of a file, or of standard input for `-`.

    TOML and JSON hold a list of rows named `rows` or as the table (JSON may be the bare list); CSV has a line of heads.

    Raises:
        UserError: `no-such-file`, `bad-rows`.
    """
    text = _read(file)
    suffix = Path(file).suffix.lower()
    try:
        if suffix == ".csv":
            return _from_csv(text)
        if suffix == ".json" or (suffix != ".toml" and text.lstrip()[:1] in {"[", "{"} and _is_json(text)):
            return _from_document(json.loads(text), table)
        return _from_document(tomli.loads(text), table)
    except (ValueError, RecursionError) as error:  # JSON's and TOML's errors are ValueErrors too
        raise UserError(
            "bad-rows",
            f"cannot read rows from {file}",
            where=file,
            why=str(error),
            hint=_FORMS,
        ) from error


def _read(file: str) -> str:
    if file == STANDARD_INPUT:
        return sys.stdin.read()
    try:
        return Path(file).read_text()
    except UnicodeDecodeError as error:
        where = f"{file}, byte {error.start}"
        raise UserError("bad-rows", f"{file} is not UTF-8 text", where=where, hint=_FORMS) from error
    except OSError as error:
        why = error.strerror or str(error)
        hint = "name a file, or - for standard input"
        raise UserError("no-such-file", f"cannot read {file}", why=why, hint=hint) from error


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _from_csv(text: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text), restkey="")
    rows = [dict(row) for row in reader]
    for number, row in enumerate(rows, 2):
        if "" in row or None in row.values():
            raise ValueError(f"line {number} has not as many cells as the first")
    return rows


def _from_document(document: object, table: str) -> list[Row]:
    if isinstance(document, dict):
        document = document.get(ROWS, document.get(table))
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise ValueError(f"there is no list of rows named {ROWS} or {table}")
    return document
