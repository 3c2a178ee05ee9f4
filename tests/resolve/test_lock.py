import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkev.base.errors import Faults
from inkev.resolve.lock import LockedPackage, format_lock, of_graph, preferences, read_lock, with_graph

locked = st.builds(
    LockedPackage,
    name=st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True),
    version=st.sampled_from(["1.0", "2.1.3", "1.0rc1"]),
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
)


@given(st.lists(locked, max_size=4))
def test_read_undoes_format(packages):
    assert read_lock(format_lock(packages)) == tuple(sorted(packages))


def test_the_order_of_packages_does_not_change_the_text():
    one, two = (LockedPackage(name=name, version="1.0", digest="0" * 64) for name in "ab")
    assert format_lock([one, two]) == format_lock([two, one])
    assert preferences([one]) == {"a": "1.0"}


def test_a_lock_that_was_tampered_with_is_refused_whole():
    with pytest.raises(Faults) as caught:
        read_lock('schema = 1\n[[package]]\nname = "a"\nversion = "1"\ndigest = "zz"\n[[package]]\nname = "B"\n'
                  f'version = "1"\ndigest = "{"0" * 64}"\n')  # fmt: skip
    assert len(caught.value.faults) == 2


def pin(name, version="1.0", *graphs):
    return LockedPackage(name=name, version=version, digest="0" * 64, graphs=graphs)


def test_graphs_of_one_folder_keep_to_their_own_versions():
    both = with_graph(with_graph([], "edge", [pin("a"), pin("b")]), "lab", [pin("a", "2.0"), pin("b")])
    assert both == (pin("a", "1.0", "edge"), pin("a", "2.0", "lab"), pin("b", "1.0", "edge", "lab"))
    assert read_lock(format_lock(both)) == both
    assert [one.version for one in of_graph(both, "edge")] == ["1.0", "1.0"]
    assert with_graph(both, "edge", []) == (pin("a", "2.0", "lab"), pin("b", "1.0", "lab"))


def test_what_is_pinned_for_no_graph_is_pinned_for_every_graph():
    assert of_graph([pin("a")], "edge") == (pin("a"),)
