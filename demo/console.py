"""The demo's screen: headings, prose, commands as they are typed, and what they print."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tests.lab import Host

INKEV = Path(sys.executable).parent / "inkev"


class Stage:
    """Shows what happens; runs `inkev` on a host as somebody at its keyboard would."""

    def __init__(self, host: Host, root: Path, folder: Path) -> None:
        """Show commands as run on `host`, in `folder`, with all of inkev's state below `root`."""
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        self._host = host
        self._folder = folder
        self._environment = {**os.environ, "INKEV_ROOT": str(root)}

    def heading(self, text: str) -> None:
        """Begin a chapter."""
        self._console.print()
        self._console.print(Rule(Text(f" {text} ", style="bold cyan"), align="left", style="cyan"))

    def say(self, text: str) -> None:
        """Tell what is about to be seen."""
        self._console.print(Text(f"  {text}", style="dim"), soft_wrap=True)

    def show(self, text: str, style: str = "") -> None:
        """Show a figure or a file."""
        for line in text.rstrip("\n").splitlines():
            self._console.print(Text(f"    {line}" if line else "", style=style), soft_wrap=True)

    def inkev(self, *words: str, quiet: bool = False) -> str:
        """Type an `inkev` command, show what it prints, and return that.

        Raises:
            SystemExit: the command failed; its error has been shown.
        """
        self._console.print(Text.assemble(("  $ ", "bold green"), ("inkev " + " ".join(map(_quoted, words)), "bold")))
        with self._host.inside():
            done = subprocess.run([INKEV, *words], cwd=self._folder, env=self._environment, text=True,
                                  capture_output=True, check=False)
        output = done.stdout if quiet and done.returncode == 0 else done.stdout + done.stderr
        if output.strip() and not (quiet and done.returncode == 0):
            self.show(output)
        if done.returncode != 0:
            raise SystemExit(f"the demo stops: that command ended with status {done.returncode}")
        return done.stdout

    def outcomes(self, rows: Iterable[tuple[str, bool, bool]]) -> None:
        """Show what was tried, whether it got through, and whether that is what should happen."""
        table = Table(box=None, show_header=False, padding=(0, 2))
        for what, passed, expected in rows:
            table.add_row("  ", what, "[green]reached[/]" if passed else "[red]blocked[/]",
                          "" if passed == expected else "[bold red]not as it should be[/]")
        self._console.print(table)

    def verdict(self, text: str, *, good: bool) -> None:
        """Show the figure that counts."""
        self.show(text, style="bold green" if good else "bold red")


def _quoted(word: str) -> str:
    return f"'{word}'" if set(word) & set(" =<>~*{}") and not word.startswith("--") else word
