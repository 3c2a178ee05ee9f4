"""Facts of resolution: statements that cannot all be true, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inkev.base.ids import PackageName
from inkev.package.requirement import Requirement

ROOT = PackageName("")
"""Stands for whoever asked: always chosen, so no statement of a fact speaks of it."""

INKEV = PackageName("inkev")
"""inkev itself, as packages may require it."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A fact from outside: some versions of a package, or the asker, require something."""

    dependant: PackageName
    versions: int
    """Which versions of the dependant, as a mask."""
    requirement: Requirement


@dataclass(frozen=True, slots=True)
class Derived:
    """A fact that follows from two others."""

    left: Incompatibility
    right: Incompatibility


@dataclass(frozen=True, slots=True, eq=False)
class Incompatibility:
    """At least one of the statements is false, in every solution."""

    terms: Mapping[PackageName, int]
    """Package to the mask of what is stated of it (see `inkev.resolve.versions`)."""
    cause: Dependency | Derived


def resolve_on(name: PackageName, left: Incompatibility, right: Incompatibility, full: int) -> Incompatibility:
    """Return what follows from both facts about the packages other than `name` (the rule of resolution).

    Args:
        name: the package that both speak of.
        left: one fact.
        right: the other.
        full: the mask that says nothing of `name`.
    """
    terms = dict(left.terms)
    for other, mask in right.terms.items():
        terms[other] = terms[other] & mask if other in terms else mask
    either = left.terms[name] | right.terms[name]
    if either == full:
        del terms[name]
    else:
        terms[name] = either
    return Incompatibility(terms, Derived(left, right))
