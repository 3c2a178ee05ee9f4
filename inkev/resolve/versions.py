"""The known versions of one package as bits, so that sets of versions are integers.

Bit 0 means that the package is absent, bit n that the n-th oldest version is chosen. A statement about the package is
a set of bits, so "version 2 or newer" and "not version 1" are masks, and logic on statements is `&`, `|` and `~`. What
a specifier admits is PEP 440's to say, asked of `packaging` once a version.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from inkev.base.ids import PackageName
from inkev.package.release import Release

ABSENT = 1


@dataclass(frozen=True, slots=True)
class Universe:
    """Everything that one package could be."""

    name: PackageName
    releases: tuple[Release, ...]
    """Oldest first: release n has bit n + 1."""
    versions: tuple[Version, ...]
    pre_releases: bool
    """Whether pre-releases were asked for and so match like any other."""

    @property
    def full(self) -> int:
        """The statement that says nothing."""
        return (1 << (len(self.releases) + 1)) - 1

    @property
    def present(self) -> int:
        """Any version."""
        return self.full & ~ABSENT

    def admitted(self, specifier: SpecifierSet) -> int:
        """Return the mask of versions that the specifier admits; a yanked one only where it is named exactly."""
        allow = self.pre_releases or bool(specifier.prereleases)
        exact = {clause.version for clause in specifier if clause.operator == "=="}
        mask = 0
        for place, (release, version) in enumerate(zip(self.releases, self.versions, strict=True), start=1):
            if not specifier.contains(version, prereleases=allow):
                continue
            if not release.yanked or any(_same(text, version) for text in exact):
                mask |= 1 << place
        return mask

    def release(self, bit: int) -> Release:
        """Return the release of a mask with one bit."""
        return self.releases[bit.bit_length() - 2]

    def chosen(self, mask: int, preferred: str = "") -> int:
        """Return the bit to try first: the preferred version where it is in the mask, else the newest final release."""
        bits = [1 << place for place in range(len(self.releases), 0, -1) if mask >> place & 1]
        for bit in bits:
            if preferred and self.versions[bit.bit_length() - 2] == Version(preferred):
                return bit
        finals = [bit for bit in bits if not self.versions[bit.bit_length() - 2].is_prerelease]
        return (finals or bits)[0]

    def describe(self, mask: int) -> str:
        """Return the versions of a mask in words: `counter 1.0 to 1.3`."""
        places = [place for place in range(1, len(self.releases) + 1) if mask >> place & 1]
        if len(places) == len(self.releases):
            return f"{self.name} {self.releases[0].version}" if len(places) == 1 else f"any version of {self.name}"
        return f"{self.name} {' or '.join(self._runs(places))}"

    def _runs(self, places: list[int]) -> list[str]:
        runs: list[list[int]] = []
        for place in places:
            if runs and runs[-1][-1] == place - 1:
                runs[-1].append(place)
            else:
                runs.append([place])
        return [self._run(run[0], run[-1]) for run in runs]

    def _run(self, first: int, last: int) -> str:
        low, high = self.releases[first - 1].version, self.releases[last - 1].version
        return low if first == last else f"{low} to {high}"


def universe(name: PackageName, releases: Iterable[Release], *, pre_releases: bool) -> Universe:
    """Return the universe of a package from what sources list, in any order; of one version the first listed counts."""
    found: dict[Version, Release] = {}
    for release in releases:
        found.setdefault(Version(release.version), release)
    versions = tuple(sorted(found))
    return Universe(name, tuple(found[version] for version in versions), versions, pre_releases)


def _same(text: str, version: Version) -> bool:
    return not text.endswith(".*") and Version(text) == version
