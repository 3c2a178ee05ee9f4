"""What every command is given: the root it works in, how to print, and the parts of inkev when first asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from inkev.base.paths import Root, find_root

if TYPE_CHECKING:
    from inkev.agent.wiring import Wiring

Document = TypeVar("Document")


@dataclass
class Session:
    """One run of the command line."""

    json: bool = False
    verbose: bool = False
    folder: str | None = None
    """What --root says."""
    sources: tuple[str, ...] = ()
    """What --source says; empty for the configured ones."""

    @cached_property
    def root(self) -> Root:
        """The root that --root, INKEV_ROOT or the defaults name."""
        return find_root(self.folder)

    @cached_property
    def wiring(self) -> Wiring:
        """All parts of inkev over the root."""
        from inkev.agent.wiring import Wiring

        return Wiring(self.root, sources=self.sources)

    def show(self, document: Document, text: Callable[[Document], str]) -> None:
        """Print a document: as JSON with --json, else as the text that `text` makes of it."""
        if self.json:
            self.print_json(document)
            return
        shown = text(document)
        if shown:
            print(shown)

    def print_json(self, document: object) -> None:
        """Print one JSON document on stdout."""
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())

    def close(self) -> None:
        """End what was started for this run."""
        wiring: Wiring | None = self.__dict__.get("wiring")
        if wiring is not None:
            wiring.close()

    def warn_of_plugins(self) -> None:
        """Tell of the plug-ins that failed during this run, if any was asked."""
        wiring: Wiring | None = self.__dict__.get("wiring")
        for broken in wiring.broken_plugins() if wiring else ():
            self.warn(f"plug-in {broken.name} failed: {broken.why}")

    def warn(self, text: str) -> None:
        """Tell a person something beside the result; programs find it in the document."""
        if not self.json:
            print(f"warning: {text}", file=sys.stderr)
