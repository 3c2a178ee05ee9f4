"""An edge with hooks of one type, between hosts of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inkev.base.paths import Root
from inkev.toolchain.linker import BitcodeLinker
from tests.lab import Host as Machine
from tests.lab import Lab
from tests.nfpkgs.kit import Edge, Star


@pytest.fixture(scope="session")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BitcodeLinker]:
    """One linker for all: what is linked once stays linked."""
    made = BitcodeLinker(tmp_path_factory.mktemp("objects"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def stars() -> Iterator[Callable[[str], Star]]:
    """Stars by hook type, each made once."""
    made: dict[str, Star] = {}
    labs: list[Lab] = []

    def find(hook: str) -> Star:
        if hook not in made:
            labs.append(Lab())
            made[hook] = Star(labs[-1], hook)
        return made[hook]

    yield find
    for lab in labs:
        lab.__exit__(None, None, None)


@pytest.fixture
def place(root: Root, tmp_path: Path, linker: BitcodeLinker) -> Iterator[Callable[[Machine, str], Edge]]:
    """Puts inkev on a machine; its graphs are gone afterwards."""
    edges: list[Edge] = []

    def make(machine: Machine, hook: str) -> Edge:
        edges.append(Edge(root, tmp_path, linker, machine, hook))
        return edges[-1]

    yield make
    for edge in edges:
        edge.clear()


@pytest.fixture(params=["tc-ingress", "xdp"])
def star(request: pytest.FixtureRequest, stars: Callable[[str], Star]) -> Star:
    """Three hosts around an edge, for hooks of each type."""
    found = stars(request.param)
    found.forget()
    return found


@pytest.fixture
def tc_star(stars: Callable[[str], Star]) -> Star:
    """Three hosts around an edge with hooks on tc: their checksums and segments are left to devices."""
    found = stars("tc-ingress")
    found.forget()
    return found


@pytest.fixture
def edge(star: Star, place: Callable[[Machine, str], Edge]) -> Edge:
    """The edge of the star."""
    return place(star.edge, star.hook)


@pytest.fixture
def tc_edge(tc_star: Star, place: Callable[[Machine, str], Edge]) -> Edge:
    """The edge of the star on tc."""
    return place(tc_star.edge, tc_star.hook)
