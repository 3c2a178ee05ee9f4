"""The author's guide and the demo do what they show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import NETNS

ROOT = Path(__file__).resolve().parents[2]
INKEV = Path(sys.executable).parent / "inkev"

pytestmark = pytest.mark.kernel


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / document).read_text(), re.DOTALL)


def test_the_function_of_the_authors_guide_passes_its_check(tmp_path: Path) -> None:
    environment = {**os.environ, "INKEV_ROOT": str(tmp_path / "root")}
    manifest, _existing, _subgraph, packets = blocks("authors.md", "toml")
    (source,) = blocks("authors.md", "c")
    subprocess.run([INKEV, "new", "ttl_guard"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    folder = tmp_path / "ttl_guard"
    (folder / "nf.toml").write_text(manifest)
    (folder / "src" / "ttl_guard.bpf.c").write_text(source)
    (folder / "tests" / "basic.toml").write_text(packets)
    done = subprocess.run([INKEV, "check", folder], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_graph_package_of_the_authors_guide_passes_its_check(tmp_path: Path) -> None:
    environment = {**os.environ, "INKEV_ROOT": str(tmp_path / "root")}
    subprocess.run(
        [INKEV, "new", "shield", "--kind", "graph"], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    manifest = tmp_path / "shield" / "nf.toml"
    package = manifest.read_text().partition("[requires")[0]
    manifest.write_text(package + blocks("authors.md", "toml")[2])
    done = subprocess.run(
        [INKEV, "check", tmp_path / "shield"], env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_demo_loses_nothing_and_leaves_nothing() -> None:
    done = subprocess.run([sys.executable, "-m", "demo"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 lost" in done.stdout
    assert "not as it should be" not in done.stdout
    assert list(NETNS.glob("ikvd-*")) == []
