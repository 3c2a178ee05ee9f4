"""Versions and requirements as packages state them: PEP 440 without epochs and local versions."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from inkev.base.errors import UserError
from inkev.base.ids import PackageName, is_name

_OPERATORS = "<>=!~"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package and which of its versions will do."""

    name: PackageName
    specifier: SpecifierSet

    def __str__(self) -> str:
        return f"{self.name}{format_specifier(self.specifier)}"


def parse_version(text: str) -> Version:
    """Return the version that the text states.

    Raises:
        UserError: `bad-version`.
    """
    try:
        version = Version(text)
    except InvalidVersion:
        raise UserError("bad-version", f"{text!r} is not a version", hint="write it as 1.2.0 (PEP 440)") from None
    if version.epoch or version.local:
        raise UserError(
            "bad-version",
            f"{text!r} has an epoch or a local part",
            why="hosts could not agree on its meaning",
            hint=f"write it as {version.base_version.rpartition('!')[2]}",
        )
    return version


def parse_specifier(text: str) -> SpecifierSet:
    """Return the set of versions that `>=1.0,<2` names; an empty text or `*` names all.

    Raises:
        UserError: `bad-requirement`.
    """
    text = "" if text.strip() == "*" else text
    try:
        specifier = SpecifierSet(text)
    except InvalidSpecifier:
        raise UserError(
            "bad-requirement", f"{text!r} does not say which versions", hint="write ==1.2, >=1.0,<2 or ~=1.0"
        ) from None
    for clause in specifier:
        if clause.operator == "===" or "!" in clause.version or "+" in clause.version:
            raise UserError(
                "bad-requirement",
                f"{clause} is not allowed",
                hint="compare by ==, !=, <, <=, >, >= or ~= with a version like 1.2",
            )
    return specifier


def parse_requirement(text: str) -> Requirement:
    """Return what `firewall==1.2` asks for; a bare name asks for any version.

    Raises:
        UserError: `bad-requirement`.
    """
    stripped = text.strip()
    cut = next((place for place, letter in enumerate(stripped) if letter in _OPERATORS), len(stripped))
    name, clauses = stripped[:cut].strip(), stripped[cut:]
    if not is_name(name):
        raise UserError(
            "bad-requirement",
            f"{text!r} does not start with the name of a package",
            why="a name has up to 31 small letters, digits, - and _, and starts with a letter",
            hint="write it as firewall==1.2",
        )
    return Requirement(PackageName(name), parse_specifier(clauses))


def format_specifier(specifier: SpecifierSet) -> str:
    """Return the clauses in one order, the same for equal sets."""
    return ",".join(sorted(str(clause) for clause in specifier))
