import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkev.base.errors import UserError
from inkev.package.filenames import folded, unsafe_reason
from inkev.package.requirement import parse_requirement, parse_specifier, parse_version
from inkev.package.suggest import did_you_mean

operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "~="])
digits = st.integers(0, 9)
clause = st.builds(lambda operator, major, minor: f"{operator}{major}.{minor}", operators, digits, digits)
clauses = st.lists(clause, max_size=3).map(",".join)


@given(st.from_regex(r"[a-z][a-z0-9_-]{0,30}", fullmatch=True), clauses)
def test_parse_undoes_format(name, versions):
    requirement = parse_requirement(f" {name} {versions}")
    assert parse_requirement(str(requirement)) == requirement


@pytest.mark.parametrize("text", [
    "", "Firewall", "firewall 1.2", "firewall=1.2", "firewall==", "firewall===1.2", "firewall==1.2+mine",
    "firewall==1!2",
    "==1.2",
    "fire wall", "firewall[extra]==1", "firewall==1.2; python", "firewall @ http://x", "../firewall", "f" * 32,
])  # fmt: skip
def test_a_requirement_that_is_none_is_refused(text):
    with pytest.raises(UserError) as caught:
        parse_requirement(text)
    assert caught.value.code == "bad-requirement"


@pytest.mark.parametrize("text", ["", "one", "1!1.0", "1.0+local", "1.0 .0"])
def test_a_version_without_one_meaning_is_refused(text):
    with pytest.raises(UserError) as caught:
        parse_version(text)
    assert caught.value.code == "bad-version"


def test_a_star_asks_for_any_version():
    assert parse_specifier("*") == parse_specifier("")


@given(st.text(max_size=12))
def test_a_safe_name_stays_below_its_folder(tmp_path_factory, name):
    if not unsafe_reason(name):
        base = tmp_path_factory.getbasetemp()
        assert (base / name).resolve().is_relative_to(base.resolve())
        assert "\0" not in name
        assert folded(name) == folded(name.upper().lower()) or not name.isascii()


def test_the_nearest_word_is_offered_and_nothing_far():
    assert did_you_mean("sumary", ["summary", "license"]) == "did you mean summary?"
    assert did_you_mean("xyz", ["summary"]) == ""
