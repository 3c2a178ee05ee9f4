"""The tree of commands: names here, everything else in the module of the command, imported when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import click

from inkev import __version__
from inkev.cli.session import Session

COMMANDS = {
    "new": "authoring",
    "check": "authoring",
    "build": "authoring",
    "publish": "authoring",
    "install": "packages",
    "uninstall": "packages",
    "list": "packages",
    "info": "packages",
    "search": "packages",
    "plan": "graphs",
    "stitch": "graphs",
    "unstitch": "graphs",
    "status": "graphs",
    "insert": "changes",
    "replace": "changes",
    "remove": "changes",
    "table": "tables",
    "completion": "shell",
    "doctor": "doctor",
}
"""Command to the module of `inkev.cli.commands` that defines it, in the order that help shows."""


def common_options() -> list[click.Parameter]:
    """Return the options that may stand anywhere: before the command, or behind it."""
    return [
        _session_option(["--root"], "folder", metavar="DIR", type=click.Path(file_okay=False),
                        help="Keep all of this host's state in DIR (default: $INKEV_ROOT, else the system's)."),
        _session_option(["--json"], "json", is_flag=True, help="Print one JSON document on stdout."),
        _session_option(["-v", "--verbose"], "verbose", is_flag=True, help="Say more; show whole logs."),
    ]  # fmt: skip


def _session_option(names: list[str], field: str, **options: Any) -> click.Option:  # noqa: ANN401 - click's own options
    def keep(context: click.Context, _parameter: click.Parameter, value: object) -> None:
        if value:
            setattr(context.ensure_object(Session), field, value)

    return click.Option([*names, f"_{field}"], expose_value=False, callback=keep, is_eager=True, **options)


class Command(click.Command):
    """A command that also takes the common options.

    Args:
        document: the type of what it prints with --json; its fields are described in docs/cli.md.
    """

    def __init__(self, *args: Any, document: object = None, **kwargs: Any) -> None:  # noqa: ANN401 - passed to click
        super().__init__(*args, **kwargs)
        self.document = document
        self.params += common_options()


class Tree(click.Group):
    """The root of all commands; imports the module of the one that is called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return inkev's own commands in the order of the table, then those of plug-ins."""
        return [*COMMANDS, *self._plugin_commands()]

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Return the command of that name, imported now, or None."""
        if name not in COMMANDS:
            return self._plugin_commands().get(name)
        module = importlib.import_module(f"inkev.cli.commands.{COMMANDS[name]}")
        command = getattr(module, f"{name}_command")
        if not isinstance(command, click.Command):
            raise TypeError(f"{name}_command is not a command")
        return command

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; where there is none of that name, say which one may be meant."""
        try:
            return super().resolve_command(context, words)
        except click.UsageError as error:
            if close := self._closest(words[0]):
                raise click.UsageError(f"{error.message} Did you mean {close!r}?", context) from error
            raise

    def _closest(self, word: str) -> str:
        import difflib

        return next(iter(difflib.get_close_matches(word, COMMANDS, 1)), "")

    def _plugin_commands(self) -> dict[str, click.Command]:
        from inkev.plugins.manager import load_plugins

        return load_plugins().commands()


@click.group(
    cls=Tree,
    params=common_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, message="inkev %(version)s")
def inkev() -> None:
    """Install network functions and stitch them into live traffic.

    A package source holds packages, `inkev install` keeps them on this host, and `inkev stitch` makes the kernel carry
    exactly the graph of functions that a graph file declares.
    """
