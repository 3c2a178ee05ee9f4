"""Every first package passes `inkev check`, is tried on each hook type, and its README tells all that it offers."""

from __future__ import annotations

import json
import re
import shutil
from itertools import cycle
from pathlib import Path

import pytest

from inkev.cli.main import main
from inkev.package.reading import read_package
from tests.nfpkgs.kit import NAMES, NFPKGS

SLOW = {"firewall"}
"""Packages whose packet tests run on one hook type each, in turn: the verifier needs a second for each program."""


@pytest.mark.kernel
@pytest.mark.parametrize("name", NAMES)
def test_a_copy_passes_its_check(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INKEV_ROOT", str(tmp_path / "root"))
    copy = shutil.copytree(NFPKGS / name, tmp_path / name, ignore=shutil.ignore_patterns("build"))
    if name in SLOW:
        take_turns(copy)
    status = main(["check", str(copy), "--json"])
    report = json.loads(capsys.readouterr().out)
    failures = [test for test in report["tests"] if test["failures"]]
    assert (status, report["passed"], report["warnings"], failures) == (0, True, [], [])
    built = {hook for program in read_package(copy)[0].programs.values() for hook in program.hooks}
    assert {test["hook"] for test in report["tests"]} == built == {"xdp", "tc"}


def take_turns(folder: Path) -> None:
    """Let tests that name no hook types run on xdp and on tc in turn."""
    turns = cycle(("xdp", "tc"))
    for path in sorted(folder.glob("tests/*.toml")):
        head, *tests = re.split(r"(?m)^\[\[test\]\]\n", path.read_text())
        path.write_text(head + "".join(f"[[test]]\n{_on(next(turns), test)}" for test in tests))


def _on(hook: str, test: str) -> str:
    return test if re.search(r"(?m)^hooks\s*=", test) else f'hooks = ["{hook}"]\n{test}'


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_names_all_that_the_manifest_offers(name: str) -> None:
    manifest = read_package(NFPKGS / name)[0]
    text = (NFPKGS / name / "README.md").read_text()
    offered = [*manifest.ports, *manifest.config, *manifest.tables, *manifest.metrics, *manifest.reasons]
    missing = [word for word in offered if f"`{word}`" not in text and word not in _ranges(text)]
    assert missing == []


def _ranges(text: str) -> set[str]:
    """Return what the text says by "`p1` to `p8`"."""
    ends = re.findall(r"`(\D+)(\d+)` to `\1(\d+)`", text)
    return {f"{stem}{number}" for stem, first, last in ends for number in range(int(first), int(last) + 1)}
