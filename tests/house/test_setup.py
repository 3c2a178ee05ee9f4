"""scripts/setup.sh on systems that it knows and on one that it does not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / "scripts" / "setup.sh"


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SETUP, *words], env={**os.environ, **environment}, capture_output=True, text=True,
                          check=False)


def test_a_second_set_up_has_nothing_to_say() -> None:
    done = run("dev")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_on_another_system_it_prints_what_is_needed_and_stops(tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text('ID=fedora\nID_LIKE="rhel"\n')
    done = run("dev", OS_RELEASE=str(release))
    assert done.returncode == 1
    assert "clang 14 or newer" in done.stderr
    assert "libbpf.so.1" in done.stderr


def test_an_unknown_level_is_refused() -> None:
    done = run("everything")
    assert done.returncode == 2
    assert "usage:" in done.stderr
