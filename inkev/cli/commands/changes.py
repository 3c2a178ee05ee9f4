"""`inkev insert`, `replace`, `remove`: functions in a running graph, while traffic flows."""

from __future__ import annotations

from typing import Any

import click

from inkev.cli import candidates
from inkev.cli.changed import show_change
from inkev.cli.commands.graphs import discard_option
from inkev.cli.options import dry_run_option
from inkev.cli.progress import progress
from inkev.cli.rows import parse_words
from inkev.cli.session import Session
from inkev.cli.tree import Command
from inkev.host.results import Change

graph_option = click.option(
    "--graph", metavar="NAME", shell_complete=candidates.graphs, help="Which graph, where several run."
)
config_option = click.option(
    "--config", "config", metavar="KEY=VALUE", multiple=True, help="An option of the instance; may be repeated."
)
write_option = click.option("--write", is_flag=True, help="Change the graph file too.")


@click.command("insert", cls=Command, document=Change)
@click.argument("package", shell_complete=candidates.packages)
@click.option(
    "--at",
    "point",
    required=True,
    metavar="POINT",
    shell_complete=candidates.points,
    help="A declared stitch point, a hook, or the source of an edge (fw:inside); GRAPH.POINT names the graph too.",
)
@graph_option
@click.option("--name", help="The instance's name (default: the package's).")
@config_option
@click.option("--in", "in_port", metavar="PORT", default="", help="The port that packets enter by.")
@click.option("--out", "out_port", metavar="PORT", default="", help="The port that packets go on by.")
@write_option
@dry_run_option
@click.pass_obj
def insert_command(
    session: Session,
    /,
    package: str,
    point: str,
    graph: str | None,
    config: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """Put an installed package into the running graph, at a stitch point, losing no packet."""
    inner, place = split_place(point, graph)
    with progress(session, f"inserting {package}") as say:
        change = session.wiring.graphs.insert(
            session.wiring.graphs.choose(inner), package, place, config=parse_config(config), on_progress=say, **options
        )
    show_change(session, change, steps=options["dry_run"])


@click.command("replace", cls=Command, document=Change)
@click.argument("instance", shell_complete=candidates.instances)
@click.argument("package", shell_complete=candidates.packages)
@graph_option
@config_option
@discard_option
@write_option
@dry_run_option
@click.pass_obj
def replace_command(
    session: Session,
    /,
    instance: str,
    package: str,
    graph: str | None,
    config: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """Put another version or package behind a running instance's name; its state is kept."""
    inner, name = split_place(instance, graph)
    with progress(session, f"replacing {name}") as say:
        change = session.wiring.graphs.replace(
            session.wiring.graphs.choose(inner),
            name,
            package,
            config=parse_config(config) or None,
            on_progress=say,
            **options,
        )
    show_change(session, change, steps=options["dry_run"])


@click.command("remove", cls=Command, document=Change)
@click.argument("instance", shell_complete=candidates.instances)
@graph_option
@write_option
@dry_run_option
@click.pass_obj
def remove_command(session: Session, instance: str, graph: str | None, *, write: bool, dry_run: bool) -> None:
    """Take an instance out of the running graph and join what it stood between; its state is lost."""
    inner, name = split_place(instance, graph)
    with progress(session, f"removing {name}") as say:
        change = session.wiring.graphs.remove(
            session.wiring.graphs.choose(inner), name, write=write, dry_run=dry_run, on_progress=say
        )
    show_change(session, change, steps=dry_run)


def split_place(text: str, graph: str | None) -> tuple[str | None, str]:
    """Return graph and place of `GRAPH.PLACE` or `GRAPH/PLACE`; names have neither dots nor slashes."""
    for separator in "/.":
        before, found, after = text.partition(separator)
        if found:
            return before, after
    return graph, text


def parse_config(words: tuple[str, ...]) -> dict[str, Any]:
    """Return options from `key=value` words: numbers and truth as such, so that a file written from them reads well."""
    return {key: _typed(value) for key, value in parse_words(words, "--config default=drop").items()}


def _typed(text: str) -> str | int | bool:
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if text.isascii() and text.isdigit() else text
