import pytest
import resolvelib
from hypothesis import given, settings
from hypothesis import strategies as st

from inkev.base.errors import UserError
from inkev.package.requirement import parse_requirement
from inkev.resolve.pubgrub import resolve
from tests.resolve.problems import release, solve, world


def reason(asked, *releases, **options):
    with pytest.raises(UserError) as caught:
        solve(asked, *releases, **options)
    return caught.value.faults[0]


def test_the_newest_final_version_is_chosen():
    assert solve(["a"], release("a 1.0"), release("a 1.10"), release("a 1.9"), release("a 2.0rc1")) == {"a": "1.10"}


def test_what_is_required_is_chosen_too():
    found = solve(["a"], release("a 1", ["b>=1,<2"]), release("b 1.5", ["c"]), release("b 2"), release("c 3"))
    assert found == {"a": "1", "b": "1.5", "c": "3"}


def test_a_newer_version_is_given_up_where_an_older_one_fits():
    found = solve(["a", "b==1"], release("a 2", ["b==2"]), release("a 1", ["b==1"]), release("b 1"), release("b 2"))
    assert found == {"a": "1", "b": "1"}


def test_1_2_asks_for_1_2_0():
    assert solve(["a==1.2"], release("a 1.2.0"), release("a 1.2.1")) == {"a": "1.2.0"}


def test_a_pre_release_is_chosen_only_where_it_was_asked_for():
    both = release("a 1.0"), release("a 2.0b1")
    assert solve(["a>=1"], *both) == {"a": "1.0"}
    assert solve(["a>=2.0a1"], *both) == {"a": "2.0b1"}
    assert solve(["a>=2"], release("a 1.0"), release("a 2.1b1"), pre_releases=True) == {"a": "2.1b1"}
    fault = reason(["a>=2"], release("a 1.0"), release("a 2.1b1"))
    assert (fault.code, fault.hint) == ("no-such-version", "a pre-release is chosen where it is named: a==2.1b1")


def test_a_pre_release_asked_for_serves_those_who_did_not_ask():
    assert solve(["a==2.0b1", "c"], release("a 2.0b1"), release("c 1", ["a>=1"])) == {"a": "2.0b1", "c": "1"}


def test_a_yanked_version_is_chosen_only_by_its_exact_name():
    releases = release("a 1.0"), release("a 1.1", yanked="loses packets")
    assert solve(["a"], *releases) == {"a": "1.0"}
    assert solve(["a==1.1"], *releases) == {"a": "1.1"}


def test_a_preferred_version_is_kept_where_it_will_do():
    releases = release("a 1"), release("a 2"), release("a 3")
    assert solve(["a"], *releases, preferred={"a": "2"}) == {"a": "2"}
    assert solve(["a>=3"], *releases, preferred={"a": "2"}) == {"a": "3"}


def test_a_version_made_for_another_inkev_is_passed_over():
    releases = release("a 1", inkev=">=0.1"), release("a 2", inkev=">=9")
    assert solve(["a"], *releases, inkev_version="0.1.0") == {"a": "1"}
    fault = reason(["a==2"], *releases, inkev_version="0.1.0")
    assert fault.why == "you asked for a==2 and a 2 requires inkev>=9 (there is only 0.1.0), so nothing fits."
    assert fault.hint == "update inkev, or ask for an older version"


def test_packages_may_require_each_other():
    assert solve(["a"], release("a 1", ["b"]), release("b 1", ["a"])) == {"a": "1", "b": "1"}


def test_an_unknown_package_is_named():
    fault = reason(["nosuch"], release("a 1"))
    assert (fault.code, fault.message) == ("no-such-package", "there is no package nosuch")


def test_an_unknown_version_lists_those_there_are():
    fault = reason(["a==3"], release("a 1.0"), release("a 2.0", yanked="x"))
    assert (fault.code, fault.why) == ("no-such-version", "there are 1.0, 2.0 (yanked)")


def test_a_conflict_is_explained_in_sentences():
    fault = reason(["firewall==1.2", "nat"], release("firewall 1.2.0", ["flows>=2"]), release("nat 1.0", ["flows<2"]),
                   release("nat 1.1", ["flows<2"]), release("flows 1.5"), release("flows 2.0"))  # fmt: skip
    assert fault.message == "no versions go together for firewall==1.2 and nat"
    assert fault.why.splitlines()[-1].endswith("so nothing fits.")
    assert "firewall 1.2.0 requires flows>=2" in fault.why
    assert "any version of nat requires flows<2" in fault.why
    assert fault.hint == "ask for other versions of firewall==1.2 or nat"


def test_a_missing_dependency_is_explained():
    fault = reason(["a"], release("a 1", ["gone"]), release("a 2", ["gone>=2"]))
    assert "which no source has" in fault.why
    assert fault.hint == "find a source that has gone, and name it by --source"


def test_each_package_is_listed_once():
    asked_of = []
    releases = [release("a 2", ["b==2"]), release("a 1", ["b"]), release("b 1")]

    def lister(name):
        asked_of.append(name)
        return world(*releases)(name)

    assert resolve([parse_requirement("a")], lister)["a"].version == "1"
    assert sorted(asked_of) == ["a", "b"]


def test_a_long_chain_of_refusals_is_no_trouble():
    chain = [release(f"p{n} {v}", [f"p{n + 1}=={v}"]) for n in range(60) for v in (1, 2, 3)]
    fault = reason(["p0"], *chain)
    assert fault.why.count("\n") < 200


class Oracle(resolvelib.AbstractProvider):
    """The same world, as resolvelib wants it."""

    def __init__(self, lister):
        self.lister = lister

    def identify(self, requirement_or_candidate):
        return requirement_or_candidate.name

    def get_preference(self, identifier, resolutions, candidates, information, backtrack_causes):
        return identifier

    def find_matches(self, identifier, requirements, incompatibilities):
        bad = {each.version for each in incompatibilities[identifier]}
        wanted = list(requirements[identifier])
        offered = [each for each in self.lister(identifier) if each.version not in bad]
        fits = [each for each in offered if all(want.specifier.contains(each.version) for want in wanted)]
        return sorted(fits, key=lambda each: int(each.version), reverse=True)

    def is_satisfied_by(self, requirement, candidate):
        return requirement.specifier.contains(candidate.version)

    def get_dependencies(self, candidate):
        return [parse_requirement(name + versions) for name, versions in candidate.requires.items()]


NAMES = "abcdef"
requirement = st.builds(
    lambda name, operator, version: name + (f"{operator}{version}" if operator else ""),
    st.sampled_from(NAMES), st.sampled_from(["", "==", ">=", "<", "!="]), st.integers(1, 4),
)  # fmt: skip


@st.composite
def worlds(draw):
    releases = []
    for name in NAMES:
        for version in range(1, draw(st.integers(0, 4)) + 1):
            others = requirement.filter(lambda text, own=name: text[0] != own)
            wanted = draw(st.lists(others, max_size=3, unique_by=lambda text: text[0]))
            releases.append(release(f"{name} {version}", wanted))
    return releases


def exists(needed, chosen, lister):
    """Return whether some choice satisfies everything: a complete search, too slow for anything but a small world."""
    for each in needed:
        if each.name in chosen and not each.specifier.contains(chosen[each.name].version):
            return False
    missing = next((each.name for each in needed if each.name not in chosen), None)
    if missing is None:
        return True
    return any(exists([*needed, *requirements_of(one)], chosen | {missing: one}, lister) for one in lister(missing))


def requirements_of(one):
    return [parse_requirement(name + versions) for name, versions in one.requires.items()]


def resolvelib_finds_one(wanted, lister):
    try:
        resolvelib.Resolver(Oracle(lister), resolvelib.BaseReporter()).resolve(wanted, max_rounds=500)
    except (resolvelib.ResolutionImpossible, RecursionError):
        return False  # it may give up on worlds that have a solution, and recurses for ever in some with cycles
    return True


@settings(max_examples=100, deadline=None)
@given(worlds(), st.lists(requirement, min_size=1, max_size=3))
def test_it_finds_a_solution_exactly_where_there_is_one(releases, asked):
    wanted = [parse_requirement(text) for text in asked]
    lister = world(*releases)
    if not exists(wanted, {}, lister):
        assert not resolvelib_finds_one(wanted, lister)
        with pytest.raises(UserError) as caught:
            resolve(wanted, lister)
        assert caught.value.faults[0].why
        return
    found = resolve(wanted, lister)
    needed = wanted + [each for one in found.values() for each in requirements_of(one)]
    assert all(each.specifier.contains(found[each.name].version) for each in needed)
    assert set(found) == {each.name for each in needed}


@settings(max_examples=30, deadline=None)
@given(worlds(), st.lists(requirement, min_size=1, max_size=3), st.randoms())
def test_the_order_in_which_releases_are_listed_changes_nothing(releases, asked, random):
    def outcome(listed):
        try:
            return solve(asked, *listed)
        except UserError as error:
            return str(error)

    first = outcome(releases)
    random.shuffle(releases)
    assert outcome(releases) == first
