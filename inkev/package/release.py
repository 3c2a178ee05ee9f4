"""What a source says of one published version, and what resolution needs to know of it."""

from __future__ import annotations

import msgspec

from inkev.base.ids import Digest, PackageName
from inkev.package.manifest import Manifest


class Release(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a package as an index lists it."""

    name: PackageName
    version: str
    digest: Digest
    """SHA-256 of the archive."""
    size_bytes: int = 0
    requires: dict[str, str] = {}
    """Package name to versions, as in [requires.packages]."""
    inkev: str = ""
    """Versions of inkev that it works with."""
    kind: str = "function"
    summary: str = ""
    license: str = ""
    keywords: tuple[str, ...] = ()
    yanked: str = ""
    """Why it was taken back; empty where it was not."""


def describe(manifest: Manifest, digest: Digest, size_bytes: int = 0) -> Release:
    """Return the release that publishing this manifest makes."""
    package = manifest.package
    return Release(
        name=PackageName(package.name),
        version=package.version,
        digest=digest,
        size_bytes=size_bytes,
        requires=dict(sorted(manifest.requires.packages.items())),
        inkev=manifest.requires.inkev,
        kind=package.kind,
        summary=package.summary,
        license=package.license,
        keywords=package.keywords,
    )
