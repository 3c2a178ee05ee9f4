"""Options and helps that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from inkev.cli.session import Session

Function = TypeVar("Function", bound=Callable[..., Any])


def source_option(text: str) -> Callable[[Function], Function]:
    """Return the option `--source`, kept in the session: the sources to use instead of the configured ones."""

    def keep(context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> None:
        context.ensure_object(Session).sources = value

    return click.option(
        "--source", "source", metavar="DIR", multiple=True, expose_value=False, callback=keep, help=text
    )


from_source_option = source_option("Take packages from DIR instead of the configured sources; may be repeated.")
to_source_option = source_option("Publish to DIR instead of the first configured source.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
graph_file_argument = click.argument(
    "file", default="graph.toml", type=click.Path(dir_okay=False), metavar="[FILE]", required=False
)
package_folder_argument = click.argument(
    "folder", default=".", type=click.Path(file_okay=False), metavar="[DIR]", required=False
)
