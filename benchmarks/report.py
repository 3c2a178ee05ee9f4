"""Figures as tables: for a terminal, and for the readme."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from benchmarks.measure import Measure


def _figure(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def table(measures: Sequence[Measure]) -> Table:
    """Return the figures as a table for people."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("measure", "value", "yardstick", "value", "ratio", "target", ""):
        figure = heading in {"value", "ratio"}
        shown.add_column(heading, justify="right" if figure else "left", no_wrap=figure)
    for each in measures:
        met = ("[green]met[/]" if each.met else "[red]missed[/]") if each.target else ""
        what = f"{each.measure} [red]{escape(each.note)}[/]" if each.note else each.measure
        shown.add_row(what, _figure(each.value, each.unit), each.yardstick,
                      _figure(each.yardstick_value, each.unit), _figure(each.ratio, "x") if each.ratio else "",
                      each.target, met)
    return shown


def markdown(measures: Sequence[Measure]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| measure | value | yardstick | | ratio | target |", "|---|---:|---|---:|---:|---|"]
    for each in measures:
        target = f"{each.target} {'met' if each.met else '**missed**'}" if each.target else ""
        cells = (each.measure, _figure(each.value, each.unit) or "failed", each.yardstick,
                 _figure(each.yardstick_value, each.unit), _figure(each.ratio, "x"), target)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
