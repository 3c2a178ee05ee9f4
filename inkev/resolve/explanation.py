"""Says in sentences why no choice of versions exists: who requires what, what follows, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from inkev.base.errors import UserError
from inkev.base.ids import PackageName
from inkev.package.requirement import Requirement
from inkev.resolve.incompatibility import INKEV, ROOT, Dependency, Derived, Incompatibility
from inkev.resolve.versions import ABSENT, Universe

Universes = Callable[[PackageName], Universe]


def unresolvable(fact: Incompatibility, universes: Universes) -> UserError:
    """Return the error for a fact that leaves nothing: every choice contradicts what was asked for."""
    roots = [cause for cause in _outside(fact) if cause.dependant == ROOT]
    if isinstance(fact.cause, Dependency):
        requirement = roots[0].requirement
        return _missing(requirement, universes(requirement.name))
    asked = sorted({str(cause.requirement) for cause in roots})
    return UserError(
        "unresolvable",
        f"no versions go together for {' and '.join(asked)}",
        why="\n".join(_Account(universes).tell(fact)),
        hint=_hint(fact, asked, universes),
    )


def _missing(requirement: Requirement, known: Universe) -> UserError:
    if not known.releases:
        return UserError(
            "no-such-package",
            f"there is no package {requirement.name}",
            why="no source has it",
            hint="inkev search finds packages; --source names another source",
        )
    return UserError(
        "no-such-version",
        f"there is no {requirement}",
        why=f"there {'is only' if len(known.releases) == 1 else 'are'} {_list(known)}",
        hint=_nearest(requirement, known),
    )


def _nearest(requirement: Requirement, known: Universe) -> str:
    fitting = [
        place
        for place, version in enumerate(known.versions)
        if requirement.specifier.contains(version, prereleases=True)
    ]
    if not fitting:
        return f"ask for {requirement.name}=={known.releases[-1].version}"
    release = known.releases[fitting[-1]]
    kind = "a yanked version" if release.yanked else "a pre-release"
    return f"{kind} is chosen where it is named: {requirement.name}=={release.version}"


def _hint(fact: Incompatibility, asked: list[str], universes: Universes) -> str:
    for cause in _outside(fact):
        needed = universes(cause.requirement.name)
        if not needed.releases:
            return f"find a source that has {needed.name}, and name it by --source"
        if needed.name == INKEV and not needed.admitted(cause.requirement.specifier):
            return "update inkev, or ask for an older version"
    if len(asked) == 1:
        return "name a source that has what is missing (--source DIR), or ask for another version"
    return f"ask for other versions of {' or '.join(asked)}"


def _list(known: Universe) -> str:
    return ", ".join(release.version + (" (yanked)" if release.yanked else "") for release in known.releases)


def _outside(fact: Incompatibility) -> Iterator[Dependency]:
    """Yield the facts from outside that a fact rests on, each once, in the order of the account."""
    seen: set[int] = set()
    stack = [fact]
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current.cause, Dependency):
            yield current.cause
        else:
            stack += [current.cause.right, current.cause.left]


@dataclass(slots=True)
class _Account:
    """Tells a derivation from its leaves to its root, one numbered sentence for each conclusion."""

    universes: Universes
    numbers: dict[int, int] = field(default_factory=dict)

    def tell(self, fact: Incompatibility) -> list[str]:
        lines = [self._sentence(each, number) for number, each in enumerate(_conclusions(fact), start=1)]
        return lines if len(lines) > 1 else [lines[0].removeprefix("(1) ")]

    def _sentence(self, fact: Incompatibility, number: int) -> str:
        assert isinstance(fact.cause, Derived)
        self.numbers[id(fact)] = number
        causes = sorted((fact.cause.left, fact.cause.right), key=_is_derived)
        reasons = [self._reason(cause) for cause in sorted(causes, key=lambda each: not _is_asked(each))]
        return f"({number}) {reasons[0]} and {reasons[1]}, so {self._conclusion(fact)}."

    def _reason(self, fact: Incompatibility) -> str:
        if isinstance(fact.cause, Dependency):
            return self._requirement(fact.cause)
        return f"{self._conclusion(fact)} ({self.numbers[id(fact)]})"

    def _requirement(self, cause: Dependency) -> str:
        needed = self.universes(cause.requirement.name)
        if cause.dependant == ROOT:
            text = f"you asked for {cause.requirement}"
        else:
            text = f"{self.universes(cause.dependant).describe(cause.versions)} requires {cause.requirement}"
        if not needed.releases:
            return f"{text} (which no source has)"
        if not needed.admitted(cause.requirement.specifier):
            return f"{text} (there is only {_list(needed)})"
        return text

    def _conclusion(self, fact: Incompatibility) -> str:
        chosen, needed = [], []
        for name, mask in sorted(fact.terms.items()):
            known = self.universes(name)
            if mask & ABSENT:
                needed.append(known.describe(known.full & ~mask))
            else:
                chosen.append(known.describe(mask))
        if not chosen:
            return f"{' or '.join(needed)} is needed" if needed else "nothing fits"
        if needed:
            return f"{' with '.join(chosen)} needs {' or '.join(needed)}"
        return f"{' and '.join(chosen)} cannot be used{' together' if len(chosen) > 1 else ''}"


def _is_derived(fact: Incompatibility) -> bool:
    return isinstance(fact.cause, Derived)


def _is_asked(fact: Incompatibility) -> bool:
    return isinstance(fact.cause, Dependency) and fact.cause.dependant == ROOT


def _conclusions(fact: Incompatibility) -> list[Incompatibility]:
    """Return the derived facts that a fact rests on and the fact itself, causes first, each once."""
    ordered: list[Incompatibility] = []
    seen: set[int] = set()
    stack = [(fact, False)]
    while stack:
        current, ready = stack.pop()
        if ready:
            ordered.append(current)
        elif isinstance(current.cause, Derived) and id(current) not in seen:
            seen.add(id(current))
            stack += [(current, True), (current.cause.right, False), (current.cause.left, False)]
    return ordered
