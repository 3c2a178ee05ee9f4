"""`python -m benchmarks`: run the benchmarks, print each figure beside its yardstick, write latest.json."""

from __future__ import annotations

import fnmatch
import importlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from rich.console import Console

from benchmarks.measure import Benchmark, Measure, failed
from benchmarks.report import markdown, table
from inkev.base.errors import InkevError

LATEST = Path(__file__).parent / "latest.json"
MODULES = ("chains", "stitch_points", "functions", "firewall", "forwarding", "changes", "commands")
"""Each has BENCHMARKS, in the order of the table."""


def iter_benchmarks(only: str) -> Iterator[Benchmark]:
    """Yield those whose name matches the shell pattern, as a whole or in part."""
    for name in MODULES:
        module = importlib.import_module(f"benchmarks.{name}")
        for benchmark in module.BENCHMARKS:
            if fnmatch.fnmatch(benchmark.name, f"*{only}*"):
                yield benchmark


def run(benchmark: Benchmark) -> list[Measure]:
    """Return the benchmark's figures; one that fails becomes a row that says so, and the others go on."""
    try:
        return benchmark.run()
    except (InkevError, OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        return [failed(benchmark.name, f"{type(error).__name__}: {error}")]


@click.command(help=__doc__)
@click.option("--only", default="", metavar="PATTERN", help="Run only benchmarks whose name contains the pattern.")
@click.option("--list", "listing", is_flag=True, help="Print the names of the benchmarks and stop.")
@click.option("--markdown", "show", is_flag=True, help="Print the last run's figures as Markdown and stop.")
@click.option("--output", default=str(LATEST), metavar="FILE", help="Where the figures go as JSON.")
def main(*, only: str, listing: bool, show: bool, output: str) -> None:
    """Measure, print, write; always ends well, for a missed target is a figure and no failure."""
    if show:
        print(markdown(msgspec.json.decode(Path(output).read_bytes(), type=list[Measure])))
        return
    console = Console(width=None if Console().is_terminal else 170)
    measures: list[Measure] = []
    for benchmark in iter_benchmarks(only):
        if listing:
            print(benchmark.name)
            continue
        console.print(f"[dim]measuring {benchmark.name} ...[/]")
        measures += run(benchmark)
    if measures:
        console.print(table(measures))
        Path(output).write_bytes(msgspec.json.format(msgspec.json.encode(measures), indent=2) + b"\n")


if __name__ == "__main__":
    main()
