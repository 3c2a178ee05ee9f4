"""New packages: a folder for each kind and dialect that builds and passes `inkev check` at once.

The templates are files beside this module. In them `@name@` stands for the package's name, `@ident@` and `@IDENT@` for
the same as a C identifier; a file named `template.*` gets the package's name.
"""

from __future__ import annotations

from pathlib import Path

from inkev.base.errors import ConflictError, UserError
from inkev.base.ids import is_name

TEMPLATES = Path(__file__).parent / "templates"
KINDS = ("function", "graph", "library")
DIALECTS = ("inkev", "xdp", "tc")


def scaffold(name: str, folder: Path, kind: str = "function", dialect: str = "inkev") -> list[Path]:
    """Write a new package into `folder` and return the files written, relative to it.

    Raises:
        UserError: `bad-name`.
        ConflictError: `folder-not-empty`; nothing is written.
    """
    if not is_name(name):
        raise UserError(
            "bad-name",
            f"{name!r} cannot name a package",
            why="a name is a letter, then at most 30 of a-z, 0-9, - and _",
            hint=f"inkev new {_suggest(name)}",
        )
    files = render(name, kind, dialect)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConflictError("folder-not-empty", f"{folder} exists and is not an empty folder", hint="choose --dir")
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return list(files)


def render(name: str, kind: str, dialect: str) -> dict[Path, str]:
    """Return the files of a new package, path to text, sorted by path."""
    folders = (TEMPLATES / "any", TEMPLATES / (f"{kind}-{dialect}" if kind == "function" else kind))
    return dict(
        sorted(
            (_target(path.relative_to(folder), name), _fill(path.read_text(), name))
            for folder in folders
            for path in folder.rglob("*")
            if path.is_file()
        )
    )


def _target(path: Path, name: str) -> Path:
    if path.name == "gitignore":  # a dotted template would hide from packaging
        return path.with_name(".gitignore")
    return path.with_name(path.name.replace("template.", f"{name}."))


def _fill(text: str, name: str) -> str:
    identifier = name.replace("-", "_")
    return text.replace("@name@", name).replace("@ident@", identifier).replace("@IDENT@", identifier.upper())


def _suggest(name: str) -> str:
    cleaned = "".join(letter if letter.isalnum() or letter == "-" else "-" for letter in name.lower()).strip("-")
    return cleaned[:31] if is_name(cleaned[:31]) else "my-function"
