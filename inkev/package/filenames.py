"""Which file names may stand in a package: the same rule for manifests, archives and folders."""

from __future__ import annotations

import unicodedata

_MAX_NAME_BYTES = 240
_MAX_DEPTH = 16
_FORBIDDEN = frozenset('\\:*?"<>|')


def unsafe_reason(name: str) -> str:
    """Return why a relative POSIX file name is not safe in a package, or an empty text where it is.

    A safe name means the same file on every system and lies inside the folder it is taken relative to.
    """
    parts = name.split("/")
    if not name or any(part in {"", "."} for part in parts):
        return "is empty or absolute, or has an empty part"
    if ".." in parts:
        return "leads out of the package"
    if not name.isprintable() or _FORBIDDEN & set(name) or any(part.strip(" ").rstrip(".") != part for part in parts):
        return "has characters that file systems treat differently"
    if unicodedata.normalize("NFC", name) != name:
        return "is not in Unicode's composed form (NFC)"
    if len(name.encode(errors="surrogatepass")) > _MAX_NAME_BYTES or len(parts) > _MAX_DEPTH:
        return f"is longer than {_MAX_NAME_BYTES} bytes or deeper than {_MAX_DEPTH} folders"
    return ""


def folded(name: str) -> str:
    """Return what two names share that a case-insensitive file system would take for one file."""
    return unicodedata.normalize("NFKC", name).casefold()
