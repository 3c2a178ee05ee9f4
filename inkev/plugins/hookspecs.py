"""The whole contract between inkev and its plug-ins: every plug-in point, as a documented empty function.

A plug-in is any object (a module, an instance) with functions of these names marked `@hookimpl`. It reaches inkev as a
Python distribution with an entry point in the group `inkev`:

    [project.entry-points.inkev]
    my-source = "my_package.my_module"

    # my_package/my_module.py
    from inkev.plugins.hookspecs import hookimpl

    @hookimpl
    def inkev_source(location):
        return MySource(location) if location.startswith("mine://") else None

An implementation may leave out arguments that it does not need. inkev's own drivers are plug-ins like any other; a
third party's is asked before them. A plug-in that cannot be loaded, or whose event function raises, is reported by
name (`inkev doctor`) and harms nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from inkev.base.paths import Root
from inkev.package.manifest import Manifest

if TYPE_CHECKING:
    import click

PROJECT = "inkev"
ENTRY_POINTS = "inkev"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# The drivers' interfaces are protocols of the layer that uses them, above this one: hence Any, and names in words.
Source = Any
"""`inkev.host.installing.Source`"""
Builder = Any
"""`inkev.host.checking.Builder`"""
Linker = Any
"""`inkev.host.linking.Linker`"""
Kernel = Any
"""`inkev.host.kernel.Kernel`"""


@hookspec(firstresult=True)
def inkev_source(location: str) -> Source | None:
    """Return the package source at `location`, or None where it is not yours.

    Args:
        location: what `--source` or `sources` in config.toml says: a folder, or a URL.
    """


@hookspec(firstresult=True)
def inkev_builder(dialect: str) -> Builder | None:
    """Return what builds programs of the dialect to bitcode, or None where it is not yours."""


@hookspec(firstresult=True)
def inkev_linker(root: Root) -> Linker | None:
    """Return what links built programs of the dialects into segments."""


@hookspec(firstresult=True)
def inkev_kernel(root: Root) -> Kernel | None:
    """Return the hook driver: what loads segments and attaches hooks for the graphs of `root`."""


@hookspec(firstresult=True)
def inkev_state_store(location: str) -> Any | None:  # noqa: ANN401 - its protocol comes with the overlay
    """Return the state store at `location`, or None where it is not yours."""


@hookspec
def inkev_commands() -> Mapping[str, click.Command]:  # type: ignore[empty-body]
    """Return commands to add to the command line, by name; a built-in name is not replaced."""


@hookspec
def inkev_package() -> Manifest:  # type: ignore[empty-body]
    """Return the manifest of an installed package; implemented by the adapter that inkev registers for each."""


@hookspec
def inkev_installed(package: str, version: str, digest: str) -> None:
    """A package was put into the store."""


@hookspec
def inkev_uninstalled(package: str, version: str, digest: str) -> None:
    """A package was taken out of the store."""


@hookspec
def inkev_stitched(graph: str, generation: int, file: Path | None) -> None:
    """The kernel runs a new generation of the graph, stitched from `file`."""


@hookspec
def inkev_unstitched(graph: str) -> None:
    """Nothing of the graph is left in the kernel."""


@hookspec
def inkev_inserted(graph: str, generation: int, instance: str, package: str, point: str) -> None:
    """An instance was inserted at a stitch point of the running graph."""


@hookspec
def inkev_replaced(graph: str, generation: int, instance: str, package: str) -> None:
    """A running instance was replaced by one of `package` (`name==version`)."""


@hookspec
def inkev_removed(graph: str, generation: int, instance: str) -> None:
    """An instance was removed from the running graph."""
