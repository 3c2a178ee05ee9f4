"""Reads nested tables into msgspec structs and reports every fault on the way; msgspec alone stops at the first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from inkev.base.errors import FaultList
from inkev.package.suggest import did_you_mean

S = TypeVar("S", bound=msgspec.Struct)

_BLANKS: dict[object, object] = {str: ""}


@dataclass(slots=True)
class Report:
    """Collects the faults of one file; a place is a dotted key in it."""

    file: str
    faults: FaultList = field(default_factory=FaultList)

    def add(self, code: str, key: str, message: str, *, why: str = "", hint: str = "") -> None:
        """Record that something is wrong at `key`."""
        self.faults.add(code, message, where=f"{self.file}, {key}" if key else self.file, why=why, hint=hint)


def read_struct(cls: type[S], table: object, key: str, report: Report) -> S:
    """Return the table as a `cls`, with each part that is wrong reported and replaced by its default or a blank."""
    if not isinstance(table, Mapping):
        report.add("wrong-type", key, f"{key} must be a table, not {_kind(table)}")
        table = {}
    fields = {part.encode_name: part for part in msgspec.structs.fields(cls)}
    for unknown in sorted(set(map(str, table)) - set(fields)):
        report.add(
            "unknown-key",
            join(key, unknown),
            f"there is no key {unknown!r} in {_section(key)}",
            hint=did_you_mean(unknown, fields) or f"there are {', '.join(fields)}",
        )
    found: dict[str, Any] = {}
    for name, part in fields.items():
        if name in table or (part.required and _is_struct(part.type)):
            found[part.name] = _read_value(part, table.get(name, {}), join(key, name), report)
        elif part.required:
            report.add("missing-key", join(key, name), f"{join(key, name)} is missing", hint=f"write it: {name} = ...")
            found[part.name] = _blank(part)
    return cls(**found)


def join(key: str, name: str) -> str:
    """Return the dotted key of `name` within `key`."""
    quoted = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
    return f"{key}.{quoted}" if key else quoted


def _read_value(part: msgspec.structs.FieldInfo, raw: object, key: str, report: Report) -> object:
    kind = part.type
    if _is_struct(kind):
        return read_struct(kind, raw, key, report)
    if get_origin(kind) is dict and _is_struct(get_args(kind)[1]):
        return _read_structs(get_args(kind)[1], raw, key, report)
    try:
        value = msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        report.add("wrong-type", key, f"wrong value for {key}", why=str(error).partition(" - at ")[0])
        return _blank(part)
    if part.required and value == "":
        report.add("missing-key", key, f"{key} is empty")
    return value


def _read_structs(cls: type[S], raw: object, key: str, report: Report) -> dict[str, S]:
    if not isinstance(raw, Mapping):
        report.add("wrong-type", key, f"{key} must be a table of tables, not {_kind(raw)}")
        return {}
    return {str(name): read_struct(cls, table, join(key, str(name)), report) for name, table in raw.items()}


def _blank(part: msgspec.structs.FieldInfo) -> object:
    if part.default is not msgspec.NODEFAULT:
        return part.default
    if part.default_factory is not msgspec.NODEFAULT:
        return part.default_factory()
    return {} if get_origin(part.type) is dict else _BLANKS.get(part.type)


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _section(key: str) -> str:
    return f"[{key}]" if key else "the file"


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
    return names.get(type(value), type(value).__name__)
