"""The numbers in Python are those in the C header."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inkev.package.verdicts import GRAPH_REASONS, REASONS, VERDICTS, reason_names, split_verdict

HEADER = Path(__file__).parents[2] / "bpf_common/include/inkev/abi.h"


@pytest.mark.parametrize(
    ("prefix", "names"), [("IKV_VERDICT_", VERDICTS), ("IKV_DROP_", REASONS), ("IKV_GRAPH_", GRAPH_REASONS)]
)
def test_names_and_numbers_are_those_of_the_header(prefix, names):
    defined = re.findall(rf"^\t{prefix}([A-Z_]+) = (\d+),", HEADER.read_text(), re.MULTILINE)
    wanted = {name.replace("_", "-").lower(): int(number) for name, number in defined}
    wanted.pop("first-private", None)
    wanted.pop("reasons", None)
    assert dict(zip(names, range(len(names)), strict=True)) == wanted


def test_a_verdict_is_a_kind_and_an_argument():
    assert split_verdict((1 << 16) | 3) == ("forward", 3)
    assert split_verdict(99 << 16) == ("verdict-99", 0)


def test_private_reasons_follow_the_common_ones():
    assert reason_names(("expired",))[16] == "expired"
