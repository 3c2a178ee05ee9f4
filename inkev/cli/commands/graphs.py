"""`inkev plan`, `stitch`, `unstitch`, `status`: graphs as a whole."""

from __future__ import annotations

from pathlib import Path

import click

from inkev.cli import candidates
from inkev.cli.changed import show_change
from inkev.cli.drawing import draw_status
from inkev.cli.options import dry_run_option, graph_file_argument
from inkev.cli.progress import progress
from inkev.cli.session import Session
from inkev.cli.tree import Command
from inkev.host.results import Change, GraphStatus

discard_option = click.option(
    "--discard-state", is_flag=True, help="Start maps empty whose layout a new version changed; their rows are lost."
)
upgrade_option = click.option(
    "--upgrade", is_flag=True, help="Take the newest installed packages, whatever inkev.lock pins, and pin those."
)


@click.command("plan", cls=Command, document=Change)
@graph_file_argument
@discard_option
@upgrade_option
@click.pass_obj
def plan_command(session: Session, file: str, *, discard_state: bool, upgrade: bool) -> None:
    """Show what `inkev stitch` would do: drift and every action, in order; changes nothing."""
    change = session.wiring.graphs.plan(Path(file), discard_state=discard_state, upgrade=upgrade)
    show_change(session, change, steps=True)


@click.command("stitch", cls=Command, document=Change)
@graph_file_argument
@discard_option
@upgrade_option
@dry_run_option
@click.pass_obj
def stitch_command(session: Session, file: str, *, discard_state: bool, upgrade: bool, dry_run: bool) -> None:
    """Make the kernel carry exactly the graph that FILE declares, while traffic flows.

    The exact packages are pinned in inkev.lock beside FILE, and the next stitch, here or elsewhere, keeps to them.
    """
    with progress(session, f"stitching {file}") as say:
        change = session.wiring.graphs.stitch(
            Path(file), discard_state=discard_state, upgrade=upgrade, dry_run=dry_run, on_progress=say
        )
    show_change(session, change, steps=dry_run)


@click.command("unstitch", cls=Command, document=Change)
@click.argument("graph", required=False, shell_complete=candidates.graphs)
@dry_run_option
@click.pass_obj
def unstitch_command(session: Session, graph: str | None, *, dry_run: bool) -> None:
    """Take a graph out of the kernel: hooks, programs, and the state of its instances."""
    with progress(session, "unstitching") as say:
        change = session.wiring.graphs.unstitch(session.wiring.graphs.choose(graph), dry_run=dry_run, on_progress=say)
    show_change(session, change, steps=dry_run)


@click.command("status", cls=Command, document=list[GraphStatus])
@click.argument("graph", required=False, shell_complete=candidates.graphs)
@click.pass_obj
def status_command(session: Session, graph: str | None) -> None:
    """Show what the kernel runs: the graph, its hooks, instances with their counters, and programs."""
    session.show(session.wiring.graphs.status(graph), _status_text)


def _status_text(found: list[GraphStatus]) -> str:
    if not found:
        return "no graph runs here"
    return "\n\n\n".join(draw_status(status) for status in found)
