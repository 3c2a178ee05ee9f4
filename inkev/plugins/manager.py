"""The pluggy host: who is registered, who is broken, and how plug-in points are called."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from inkev.package.manifest import Manifest
from inkev.plugins import hookspecs
from inkev.plugins.hookspecs import ENTRY_POINTS, PROJECT, hookimpl

if TYPE_CHECKING:
    import click


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plug-in that could not be loaded, or that failed while it was called."""

    name: str
    why: str


class PackagePlugin:
    """An installed NF package as a plug-in, built from its manifest."""

    PREFIX = "package:"

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    @property
    def name(self) -> str:
        """The name that the plug-in is registered by."""
        return f"{self.PREFIX}{self._manifest.package.name}=={self._manifest.package.version}"

    @hookimpl
    def inkev_package(self) -> Manifest:
        """Return the manifest."""
        return self._manifest


@dataclass(slots=True)
class Plugins:
    """All plug-ins of this process."""

    _pluggy: pluggy.PluginManager = field(default_factory=lambda: pluggy.PluginManager(PROJECT))
    broken: list[BrokenPlugin] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pluggy.add_hookspecs(hookspecs)

    def register(self, name: str, plugin: object) -> None:
        """Register one plug-in; one registered later is asked earlier."""
        self._pluggy.register(plugin, name)

    def keep_packages(self, manifests: Iterable[Manifest]) -> None:
        """Make the registered packages exactly these."""
        wanted = {plugin.name: plugin for plugin in map(PackagePlugin, manifests)}
        for name in self.names():
            if name.startswith(PackagePlugin.PREFIX) and name not in wanted:
                self._pluggy.unregister(name=name)
        for name, plugin in wanted.items():
            if not self._pluggy.has_plugin(name):
                self._pluggy.register(plugin, name)

    def load_entry_points(self) -> None:
        """Register the plug-ins of installed distributions; those that cannot be loaded become `broken`."""
        if not _is_any_declared():
            return
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINTS):
            try:
                self._pluggy.register(point.load(), point.name)
            except Exception as error:  # noqa: BLE001 - somebody else's import may raise anything, and must harm nobody
                self.broken.append(BrokenPlugin(point.name, f"{type(error).__name__}: {error}"))

    def names(self) -> list[str]:
        """Return the names of all registered plug-ins, sorted."""
        return sorted(name for name, _plugin in self._pluggy.list_name_plugin())

    def packages(self) -> list[Manifest]:
        """Return the manifests of all registered packages, by name."""
        found: list[Manifest] = self._pluggy.hook.inkev_package()
        return sorted(found, key=lambda manifest: (manifest.package.name, manifest.package.version))

    def ask(self, point: str, **arguments: object) -> Any:  # noqa: ANN401 - each point has its own result
        """Return the first answer that is not None to a plug-in point with one result, or None."""
        return getattr(self._pluggy.hook, point)(**arguments)

    def commands(self) -> dict[str, click.Command]:
        """Return the commands that plug-ins add, by name."""
        found: dict[str, click.Command] = {}
        for answer in self._call_each("inkev_commands", {}):
            if isinstance(answer, Mapping):
                found |= answer
        return found

    def notify(self, event: str, **arguments: object) -> None:
        """Tell every plug-in of an event; what one of them raises is recorded and goes no further."""
        self._call_each(event, arguments)

    def _call_each(self, point: str, arguments: Mapping[str, object]) -> list[object]:
        answers = []
        for implementation in reversed(getattr(self._pluggy.hook, point).get_hookimpls()):
            try:
                answers.append(implementation.function(*(arguments[name] for name in implementation.argnames)))
            except Exception as error:  # noqa: BLE001 - the change is made: no plug-in's failure may undo or hide it
                why = f"{point}: {type(error).__name__}: {error}"
                self.broken.append(BrokenPlugin(implementation.plugin_name, why))
        return answers


def _is_any_declared() -> bool:
    """Return whether a distribution on the path declares plug-ins; `importlib.metadata` costs 15 ms, this one."""
    declared = f"[{ENTRY_POINTS}]".encode()
    for folder in sys.path:
        for file in Path(folder or ".").glob("*.*-info/entry_points.txt"):
            with suppress(OSError):
                if declared in file.read_bytes():
                    return True
    return False


@cache
def load_plugins() -> Plugins:
    """Return the plug-ins of installed distributions; `inkev.agent.wiring` adds the drivers."""
    plugins = Plugins()
    plugins.load_entry_points()
    return plugins
