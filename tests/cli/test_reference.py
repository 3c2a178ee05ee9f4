"""docs/cli.md is what the command tree says."""

from __future__ import annotations

from pathlib import Path

from inkev.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs/cli.md"


def test_the_reference_is_up_to_date():
    assert PAGE.read_text() == reference(), "run: python -m inkev.cli.reference > docs/cli.md"
