"""What documents promise exists: links, commands, targets, examples; and nothing in the tree speaks of a machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from inkev.cli.tree import COMMANDS
from inkev.host.graph_files import read_graph

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)")
FENCE = re.compile(r"```.*?```", re.DOTALL)
COMMAND = re.compile(r"(?m)(?:^|[;`$] ?)inkev (?:--[\w-]+ )?([a-z]+)\b")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


DOCUMENTS = tracked("*.md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    broken = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_document_shows_is_one(document: Path) -> None:
    shown = {word for block in FENCE.findall(document.read_text()) for word in COMMAND.findall(block)}
    assert shown - set(COMMANDS) == set()


@pytest.mark.parametrize("example", tracked("examples/*.toml"), ids=lambda path: path.name)
def test_every_example_is_a_graph(example: Path) -> None:
    assert read_graph(example).name


def test_the_readmes_graph_is_one(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for block in blocks:
        file = tmp_path / "graph.toml"
        file.write_text(block)
        assert read_graph(file).edges


def test_make_help_lists_every_target() -> None:
    phony = re.search(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text())
    assert phony is not None
    command = ["make", "--no-print-directory", "help"]
    helped = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {line.split()[1] for line in helped.splitlines()} == set(phony.group(1).split())


def test_no_file_names_a_folder_of_this_machine() -> None:
    homes = {str(ROOT) + "/", str(Path.home()) + "/"}
    speaking = [str(path.relative_to(ROOT)) for path in tracked() if any(home in _text(path) for home in homes)]
    assert speaking == []


def test_what_becomes_part_of_a_program_states_its_licence() -> None:
    sources = tracked("bpf_common/*.[ch]", "nfpkgs/*.[ch]", "benchmarks/*.[ch]")
    silent = [path.name for path in sources
              if "SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause" not in path.read_text().splitlines()[0]]
    assert silent == []


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")
