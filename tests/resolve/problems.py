"""Small worlds of packages, written in few words."""

from inkev.base.ids import Digest, PackageName
from inkev.package.release import Release
from inkev.package.requirement import parse_requirement
from inkev.resolve.pubgrub import resolve


def release(text, requires=(), **more):
    """Return a release of `name version` with its requirements."""
    name, version = text.split()
    wanted = {each.name: str(each.specifier) for each in map(parse_requirement, requires)}
    return Release(name=PackageName(name), version=version, digest=Digest("0" * 64), requires=wanted, **more)


def world(*releases):
    """Return what lists the releases of a package."""
    return lambda name: [each for each in releases if each.name == name]


def solve(asked, *releases, **options):
    """Return the chosen versions by name."""
    found = resolve([parse_requirement(text) for text in asked], world(*releases), **options)
    return {name: each.version for name, each in found.items()}
