"""`inkev table`: rows of a running instance's tables."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from inkev.base.errors import UserError
from inkev.cli import candidates
from inkev.cli.columns import format_columns
from inkev.cli.options import dry_run_option
from inkev.cli.rows import parse_words, read_rows
from inkev.cli.session import Session
from inkev.cli.tree import Command

ACTIONS = ("list", "add", "remove", "load")
EXAMPLES = """\b
inkev table fw.rules list
inkev table fw.rules add src=10.0.0.0/8 protocol=tcp dport=443 verdict=accept
inkev table fw.rules remove src=10.0.0.0/8 protocol=tcp dport=443
inkev table edge/fw.rules load rules.csv
"""
FORMS = {"list": "", "add": "COLUMN=VALUE...", "remove": "COLUMN=VALUE...", "load": "FILE"}


class TableRows(msgspec.Struct, frozen=True):
    """A table, or what was done to it."""

    graph: str
    instance: str
    table: str
    action: str
    rows: list[dict[str, Any]]
    """`list`: all rows; otherwise those given."""
    dry_run: bool = False


@click.command("table", cls=Command, document=TableRows, epilog=EXAMPLES)
@click.argument("table", metavar="INSTANCE.TABLE", shell_complete=candidates.tables)
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("words", nargs=-1, metavar="[COLUMN=VALUE... | FILE]")
@dry_run_option
@click.pass_obj
def table_command(session: Session, table: str, action: str, words: tuple[str, ...], *, dry_run: bool) -> None:
    """List, add, remove or load rows of a running instance's table.

    `load` makes the table hold exactly the rows of FILE (TOML, JSON, CSV; - for standard input). GRAPH/INSTANCE.TABLE
    names the graph, where several run.
    """
    graph, instance, name = split_table(table)
    if action == "list" and words:
        raise click.UsageError("list takes no rows")
    if action != "list" and not words:
        raise click.UsageError(f"{action} needs {FORMS[action]}")
    chosen = session.wiring.graphs.choose(graph)
    handle = session.wiring.graphs.table(chosen, instance, name)
    rows = handle.rows() if action == "list" else _rows(action, words, name)
    if not dry_run:
        _change(handle, action, rows)
    session.show(TableRows(chosen, instance, name, action, rows, dry_run), _table_text)


def split_table(text: str) -> tuple[str | None, str, str]:
    """Return graph, instance and table of `[GRAPH/]INSTANCE.TABLE`.

    Raises:
        UserError: `bad-table-name`.
    """
    graph, slash, rest = text.rpartition("/")
    instance, dot, name = rest.partition(".")
    if not (dot and instance and name):
        raise UserError(
            "bad-table-name", f"{text!r} does not name a table", hint="write it as fw.rules or edge/fw.rules"
        )
    return (graph if slash else None), instance, name


def _rows(action: str, words: tuple[str, ...], table: str) -> list[dict[str, Any]]:
    if action != "load":
        return [parse_words(words)]
    if len(words) > 1:
        raise click.UsageError("load takes one FILE")
    return read_rows(words[0], table)


def _change(handle: Any, action: str, rows: list[dict[str, Any]]) -> None:  # noqa: ANN401 - a TableHandle
    if action == "add":
        handle.add(rows[0])
    elif action == "remove":
        handle.remove(rows[0])
    elif action == "load":
        handle.load(rows)


def _table_text(shown: TableRows) -> str:
    name = f"{shown.graph}/{shown.instance}.{shown.table}"
    if shown.action != "list":
        verb = {"add": "added", "remove": "removed", "load": "loaded"}[shown.action]
        count = f"{len(shown.rows)} row{'' if len(shown.rows) == 1 else 's'}"
        return f"{name}: {'would have ' if shown.dry_run else ''}{verb} {count}"
    if not shown.rows:
        return f"{name}: no rows"
    heads = list(shown.rows[0])
    return format_columns(([row.get(head) for head in heads] for row in shown.rows), heads)
