from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkev.base.errors import UserError
from inkev.base.limits import BLOCK_BYTES, BLOCK_HEADER_BYTES
from inkev.host.counting import overlap, place_counters

SIZES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([136, 144, 200, 4000]), max_size=8)


@given(SIZES, SIZES)
def test_regions_never_overlap_and_survivors_stay(first: dict[str, int], second: dict[str, int]) -> None:
    before = {name: (offset, first[name]) for name, offset in place_counters(first, {}).items()}
    after = place_counters(second, before)
    regions = [(offset, second[name]) for name, offset in after.items()]
    assert all(not overlap(a, b) for i, a in enumerate(regions) for b in regions[:i])
    assert all(offset >= BLOCK_HEADER_BYTES and offset + size <= BLOCK_BYTES for offset, size in regions)
    roomy = sum(first.values()) + sum(second.values()) < 16_000
    for name, region in before.items():
        if roomy and second.get(name) == region[1]:
            assert after[name] == region[0]
        elif roomy and name not in second:
            assert not any(overlap(region, other) for other in regions)


def test_counters_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="counters need"):
        place_counters({"a": BLOCK_BYTES}, {})


def test_a_full_block_is_used_again() -> None:
    before = {"a": (512, 20_000)}
    assert place_counters({"b": 20_000}, before) == {"b": 512}
