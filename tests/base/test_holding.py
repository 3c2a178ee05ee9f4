"""One holder of a file at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkev.base.errors import ConflictError
from inkev.base.holding import hold


def test_a_held_file_is_refused_to_others_until_it_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path, 0):
        with pytest.raises(ConflictError) as refusal, hold(path, 0.05):
            pass
        assert refusal.value.faults[0].code == "busy"
    with hold(path, 0):
        assert path.exists()
