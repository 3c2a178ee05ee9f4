"""A package's manifest as a page for people: what it does, how it is configured, what it may do."""

from __future__ import annotations

from collections.abc import Iterator

from inkev.cli.columns import format_columns
from inkev.package.manifest import ConfigOption, Manifest, Permissions


def draw_manual(manifest: Manifest) -> str:
    """Return the page."""
    package = manifest.package
    head = f"{package.name} {package.version}  {package.kind}, {package.license}\n{package.summary}"
    about = [("homepage", package.homepage), ("authors", ", ".join(package.authors)),
             ("keywords", ", ".join(package.keywords)), ("requires", _requires(manifest)),
             ("runs on", _hooks(manifest)), ("may", ", ".join(rights(manifest.permissions)))]  # fmt: skip
    return "\n\n".join([head, format_columns([row for row in about if row[1]]), *_sections(manifest)])


def _requires(manifest: Manifest) -> str:
    needs = [f"{name}{versions}" for name, versions in manifest.requires.packages.items()]
    return ", ".join([*needs, *(f"kernel {feature}" for feature in manifest.requires.kernel)])


def _hooks(manifest: Manifest) -> str:
    return ", ".join(dict.fromkeys(hook for program in manifest.programs.values() for hook in program.hooks))


def rights(permissions: Permissions) -> Iterator[str]:
    """Yield what the package may do, in words."""
    if permissions.packet != "none":
        yield "read packets" if permissions.packet == "read" else "read and change packets"
    for granted, text in (
        (permissions.redirect, "redirect packets"),
        (permissions.clone, "copy packets"),
        (permissions.tail_calls, "make tail calls of its own"),
        (permissions.control, "run a control part"),
    ):
        if granted:
            yield text
    yield from (f"call {name}" for name in (*permissions.helpers, *permissions.kfuncs))


def _sections(manifest: Manifest) -> Iterator[str]:
    tables = [(name, ", ".join(table.columns), table.help) for name, table in manifest.tables.items()]
    for title, rows in (
        ("ports", [(name, port.direction, port.summary) for name, port in manifest.ports.items()]),
        ("options", [(name, *_option(option)) for name, option in manifest.config.items()]),
        ("tables", tables),
        ("metrics", [(name, metric.help) for name, metric in manifest.metrics.items()]),
        ("drop reasons", list(manifest.reasons.items())),
    ):
        if rows:
            yield f"{title}\n{format_columns(rows, indent=2)}"


def _option(option: ConfigOption) -> tuple[str, str, str]:
    kind = "|".join(option.values) if option.values else option.type
    default = str(option.default).lower() if isinstance(option.default, bool) else str(option.default)
    return kind, f"default {default}", option.help
