"""PubGrub: chooses one version of every package that is needed, or derives why there is no such choice.

The algorithm is Natalie Weizenbaum's ("PubGrub: Next-Generation Version Solving", 2018; the Dart project's solver.md).
Sets of versions are bit masks (`inkev.resolve.versions`), which makes a term one integer. Pure and deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from inkev.base.ids import Digest, PackageName
from inkev.package.release import Release
from inkev.package.requirement import Requirement, parse_specifier
from inkev.resolve.explanation import unresolvable
from inkev.resolve.incompatibility import INKEV, ROOT, Dependency, Incompatibility, resolve_on
from inkev.resolve.versions import ABSENT, Universe, universe

Lister = Callable[[PackageName], Iterable[Release]]


def resolve(
    asked: Sequence[Requirement],
    releases: Lister,
    *,
    inkev_version: str = "",
    preferred: Mapping[PackageName, str] | None = None,
    pre_releases: bool = False,
) -> dict[PackageName, Release]:
    """Return one release of each package that is asked for or needed by another, by name.

    Newest first, final releases before pre-releases; pre-releases only of packages for which they were asked, or for a
    requirement that names one. The same input always gives the same answer.

    Args:
        asked: what must be there.
        releases: every known release of a package, in any order; asked once a package.
        inkev_version: what `requires.inkev` is compared with; empty for no comparison.
        preferred: versions to choose where they will do: locked or installed ones.
        pre_releases: whether pre-releases were asked for.

    Raises:
        UserError: `no-such-package`, `no-such-version` or `unresolvable`, with the reason in sentences.
    """
    named = {ask.name for ask in asked if pre_releases or ask.specifier.prereleases}
    solver = _Solver(releases, inkev_version, dict(preferred or {}), named, pre_releases)
    return solver.solve(asked)


@dataclass(frozen=True, slots=True)
class _Assignment:
    """One step of the partial solution: a statement, when it was made, and which fact forced it (None: a decision)."""

    name: PackageName
    mask: int
    level: int
    cause: Incompatibility | None


@dataclass(slots=True)
class _Solver:
    lister: Lister
    inkev_version: str
    preferred: dict[PackageName, str]
    named: set[PackageName]
    pre_releases: bool
    universes: dict[PackageName, Universe] = field(default_factory=dict)
    facts: dict[PackageName, list[Incompatibility]] = field(default_factory=dict)
    steps: list[_Assignment] = field(default_factory=list)
    known: dict[PackageName, int] = field(default_factory=dict)
    """Everything stated of a package so far, as one mask."""
    decided: dict[PackageName, int] = field(default_factory=dict)
    expanded: set[tuple[PackageName, PackageName, str]] = field(default_factory=set)

    def solve(self, asked: Sequence[Requirement]) -> dict[PackageName, Release]:
        for ask in asked:
            self._learn_dependency(ROOT, 0, ask)
        changed: set[PackageName] = {ask.name for ask in asked}
        while changed:
            self._propagate(changed)
            changed = self._decide()
        return {name: self._universe(name).release(bit) for name, bit in sorted(self.decided.items()) if name != INKEV}

    def _propagate(self, changed: set[PackageName]) -> None:
        """Draw every conclusion from what is newly known of some packages."""
        while changed:
            name = min(changed)
            changed.discard(name)
            for fact in reversed(self.facts.get(name, ())):
                unknown = self._unknown(fact)
                if unknown is None or len(unknown) > 1:
                    continue
                if unknown:
                    changed.add(self._conclude(fact, unknown[0]))
                    continue
                lesson = self._learn_from(fact)
                changed = {self._conclude(lesson, name) for name in self._unknown(lesson) or ()}
                break

    def _unknown(self, fact: Incompatibility) -> list[PackageName] | None:
        """Return the packages whose statements are neither known to hold nor known to fail; None where one fails."""
        unknown = []
        for name, mask in fact.terms.items():
            known = self._known(name)
            if not known & mask:
                return None
            if known & ~mask:
                unknown.append(name)
        return unknown

    def _conclude(self, fact: Incompatibility, name: PackageName) -> PackageName:
        """State the opposite of the fact's one open statement."""
        self._assign(_Assignment(name, self._universe(name).full & ~fact.terms[name], self._level(), fact))
        return name

    def _learn_from(self, conflict: Incompatibility) -> Incompatibility:
        """Return the fact that the conflict comes down to; the partial solution is cut back to where it says something.

        Raises:
            UserError: it comes down to what was asked for.
        """
        fact = conflict
        while fact.terms:
            place = self._satisfier(fact, len(self.steps))
            step = self.steps[place]
            earlier = self._earlier_level(fact, place)
            if step.cause is None or earlier < step.level:
                self._backtrack(earlier)
                if fact is not conflict:
                    self._learn(fact)
                return fact
            fact = resolve_on(step.name, fact, step.cause, self._universe(step.name).full)
        raise unresolvable(fact, self._universe)

    def _satisfier(self, fact: Incompatibility, end: int, extra: _Assignment | None = None) -> int:
        """Return the place of the first step by which all statements of the fact hold; -1 where `extra` is enough."""
        known = {name: self._universe(name).full for name in fact.terms}
        if extra is not None:
            known[extra.name] = extra.mask
        unmet = {name for name, mask in fact.terms.items() if known[name] & ~mask}
        for place, step in enumerate(self.steps[:end]):
            if not unmet:
                return place - 1
            if step.name in unmet:
                known[step.name] &= step.mask
                if not known[step.name] & ~fact.terms[step.name]:
                    unmet.discard(step.name)
        return end - 1 if end else -1

    def _earlier_level(self, fact: Incompatibility, place: int) -> int:
        before = self._satisfier(fact, place, self.steps[place])
        return self.steps[before].level if before >= 0 else 0

    def _backtrack(self, level: int) -> None:
        self.steps = [step for step in self.steps if step.level <= level]
        self.known, self.decided = {}, {}
        for step in self.steps:
            self._note(step)

    def _decide(self) -> set[PackageName]:
        """Choose a version of the needed package with the fewest left; return it, or nothing where all are chosen."""
        needed = [name for name, mask in self.known.items() if name not in self.decided and not mask & ABSENT]
        if not needed:
            return set()
        name = min(needed, key=lambda each: (self.known[each].bit_count(), each))
        bit = self._universe(name).chosen(self.known[name], self.preferred.get(name, ""))
        self._expand(name, self._universe(name).release(bit))
        if not any(self._rules_out(fact, name, bit) for fact in self.facts.get(name, ())):
            self._assign(_Assignment(name, bit, self._level() + 1, None))
        return {name}

    def _expand(self, name: PackageName, release: Release) -> None:
        """Learn what a version requires, for all versions of the package that require the same."""
        for needed, versions in self._requires(release):
            if (name, needed, versions) not in self.expanded:
                self.expanded.add((name, needed, versions))
                releases = enumerate(self._universe(name).releases, start=1)
                mask = sum(1 << place for place, other in releases if (needed, versions) in self._requires(other))
                self._learn_dependency(name, mask, Requirement(needed, parse_specifier(versions)))

    def _requires(self, release: Release) -> list[tuple[PackageName, str]]:
        requires = [(PackageName(name), versions) for name, versions in sorted(release.requires.items())]
        if release.inkev and self.inkev_version:
            requires.append((INKEV, release.inkev))
        return requires

    def _rules_out(self, fact: Incompatibility, name: PackageName, bit: int) -> bool:
        return all(not (bit if other == name else self._known(other)) & ~mask for other, mask in fact.terms.items())

    def _learn_dependency(self, dependant: PackageName, mask: int, requirement: Requirement) -> None:
        needed = self._universe(requirement.name)
        refused = needed.full & ~needed.admitted(requirement.specifier)
        if dependant == ROOT:
            terms = {requirement.name: refused}
        elif dependant == requirement.name:
            terms = {dependant: mask & refused}
        else:
            terms = {dependant: mask, requirement.name: refused}
        if not all(terms.values()):
            return
        # A statement that is true whatever is chosen (an unknown package is absent) says nothing.
        terms = {name: mask for name, mask in terms.items() if mask != self._universe(name).full}
        fact = Incompatibility(terms, Dependency(dependant, mask, requirement))
        if not terms:
            raise unresolvable(fact, self._universe)
        self._learn(fact)

    def _learn(self, fact: Incompatibility) -> None:
        for name in fact.terms:
            self.facts.setdefault(name, []).append(fact)

    def _assign(self, step: _Assignment) -> None:
        self.steps.append(step)
        self._note(step)

    def _note(self, step: _Assignment) -> None:
        self.known[step.name] = self._known(step.name) & step.mask
        if step.cause is None:
            self.decided[step.name] = step.mask

    def _known(self, name: PackageName) -> int:
        return self.known.get(name, self._universe(name).full)

    def _level(self) -> int:
        return self.steps[-1].level if self.steps else 0

    def _universe(self, name: PackageName) -> Universe:
        if name not in self.universes:
            self.universes[name] = universe(
                name, self._list(name), pre_releases=self.pre_releases or name in self.named
            )
        return self.universes[name]

    def _list(self, name: PackageName) -> Iterable[Release]:
        if name == INKEV:
            return (Release(name=INKEV, version=self.inkev_version, digest=Digest("")),)
        return self.lister(name)
