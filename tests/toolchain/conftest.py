"""One linker, so one worker, for all tests of the toolchain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inkev.toolchain.linker import BitcodeLinker


@pytest.fixture(scope="session")
def linker() -> Iterator[BitcodeLinker]:
    made = BitcodeLinker()
    yield made
    made.close()
