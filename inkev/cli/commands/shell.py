"""`inkev completion`: what a shell needs to complete inkev's command lines."""

from __future__ import annotations

import click

from inkev.cli.main import COMPLETE
from inkev.cli.session import Session
from inkev.cli.tree import Command

SHELLS = ("bash", "zsh", "fish")
HINTS = {
    "bash": 'eval "$(inkev completion bash)"        # in ~/.bashrc',
    "zsh": 'eval "$(inkev completion zsh)"         # in ~/.zshrc, after compinit',
    "fish": "inkev completion fish | source          # in ~/.config/fish/config.fish",
}


@click.command("completion", cls=Command, document=dict[str, str], epilog="\b\n" + "\n".join(HINTS.values()))
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_obj
def completion_command(session: Session, shell: str) -> None:
    """Print the script that makes a shell complete commands, packages, graphs, instances, points and tables."""
    from click.shell_completion import get_completion_class

    from inkev.cli.tree import inkev

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    # Not its source(): that one runs bash to warn of versions before 4.4.
    completer = found(inkev, {}, "inkev", COMPLETE)
    script = completer.source_template % completer.source_vars()
    session.show({"shell": shell, "script": script}, lambda document: document["script"])
