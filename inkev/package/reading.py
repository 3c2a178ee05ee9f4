"""Reads `nf.toml` to a `Manifest`, with every fault of the file at once, each with its place, reason and hint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import tomli

from inkev.base import limits
from inkev.base.errors import UserError
from inkev.package.manifest import Manifest
from inkev.package.rules import check_manifest
from inkev.package.shapes import Report, join, read_struct

MANIFEST = "nf.toml"
_TOML = "https://toml.io says how it is written"


def read_manifest(text: str, file: str = MANIFEST) -> Manifest:
    """Return the manifest that the text of an `nf.toml` states.

    Args:
        text: the whole file.
        file: its name, for error texts.

    Raises:
        Faults: everything that is wrong with it.
    """
    report = Report(file)
    manifest = _read(text, report)
    report.faults.check()
    return manifest


def read_package(folder: Path) -> tuple[Manifest, Path]:
    """Return the manifest of a package folder and the folder itself, absolute; every file that it names is there.

    Raises:
        Faults: everything that is wrong with the manifest or missing from the folder.
    """
    folder = folder.absolute()
    report = Report(str(folder / MANIFEST))
    manifest = _read(_read_text(folder / MANIFEST), report)
    _check_files(manifest, folder, report)
    report.faults.check()
    return manifest, folder


def _read(text: str, report: Report) -> Manifest:
    table = parse_toml(text, report.file)
    if table.get("schema", 1) != 1:
        raise UserError(
            "unknown-schema",
            f"schema {table['schema']!r} is not known",
            where=f"{report.file}, schema",
            why="this version of inkev reads schema 1",
            hint="a newer inkev may read it",
        )
    manifest = _with_hooks(read_struct(Manifest, table, "", report), table)
    check_manifest(manifest, report)
    return manifest


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises:
        UserError: `bad-toml` with line and column.
    """
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise UserError("bad-toml", f"{file} is not TOML", where=file, why=str(error), hint=_TOML) from None
    except RecursionError:
        raise UserError("bad-toml", f"{file} is nested too deeply", where=file, hint=_TOML) from None


def _with_hooks(manifest: Manifest, table: dict[str, Any]) -> Manifest:
    # A foreign program that names no hooks has those of its dialect; the default of the inkev dialect is not meant.
    programs = dict(manifest.programs)
    for name, program in programs.items():
        # A dialect other than the default means that the program was a table.
        if program.dialect == "xdp" and "hooks" not in table["programs"][name]:
            programs[name] = msgspec.structs.replace(program, hooks=("xdp",))
        elif program.dialect == "tc" and "hooks" not in table["programs"][name]:
            programs[name] = msgspec.structs.replace(program, hooks=("tc",))
    return msgspec.structs.replace(manifest, programs=programs)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(limits.MANIFEST_BYTES + 1)
    except FileNotFoundError:
        raise UserError(
            "no-manifest",
            f"{path.parent} is not a package",
            where=str(path),
            why="there is no nf.toml in it",
            hint="inkev new makes a package to start from",
        ) from None
    except OSError as error:
        raise UserError("no-manifest", f"cannot read {path}", where=str(path), why=str(error.strerror)) from None
    if len(raw) > limits.MANIFEST_BYTES:
        raise UserError("manifest-too-big", f"{path} is larger than {limits.MANIFEST_BYTES} bytes", where=str(path))
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise UserError("bad-toml", f"{path} is not UTF-8", where=str(path), why=str(error)) from None


def _check_files(manifest: Manifest, folder: Path, report: Report) -> None:
    for name, program in manifest.programs.items():
        key = join("programs", name)
        if program.file and not _is_inside(folder, program.file, Path.is_file):
            report.add("no-such-file", join(key, "file"), f"there is no file {program.file!r} in {folder}")
        for include in program.includes:
            if not _is_inside(folder, include, Path.is_dir):
                report.add("no-such-file", join(key, "includes"), f"there is no folder {include!r} in {folder}")


def _is_inside(folder: Path, name: str, exists: Callable[[Path], bool]) -> bool:
    path = (folder / name).resolve()
    return path.is_relative_to(folder.resolve()) and exists(path)
