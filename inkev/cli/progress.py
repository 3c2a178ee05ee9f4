"""What a person sees while long work goes on: one line on stderr, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inkev.cli.session import Session

Say = Callable[[str], None]


@contextmanager
def progress(session: Session, text: str) -> Iterator[Say]:
    """Show what is being done, until it is done; the function lent says what is done now."""
    if session.json or not sys.stderr.isatty():
        yield _plain(session)
        return
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status.update


def _plain(session: Session) -> Say:
    def say(now: str) -> None:
        if session.verbose:
            print(now, file=sys.stderr)

    return say
