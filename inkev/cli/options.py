"""Options and helps that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from inkev.cli.session import Session

Function = TypeVar("Function", bound=Callable[..., Any])


def source_option(function: Function) -> Function:
    """Add `--source`, kept in the session: where packages come from, instead of the configured sources."""

    def keep(context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> None:
        context.ensure_object(Session).sources = value

    return click.option(
        "--source",
        "source",
        metavar="DIR",
        multiple=True,
        expose_value=False,
        callback=keep,
        help="Take packages from DIR instead of the configured sources (config.toml); may be repeated.",
    )(function)


dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
graph_file_argument = click.argument(
    "file", default="graph.toml", type=click.Path(dir_okay=False), metavar="[FILE]", required=False
)
package_folder_argument = click.argument(
    "folder", default=".", type=click.Path(file_okay=False), metavar="[DIR]", required=False
)
