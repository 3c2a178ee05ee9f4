"""The composition root: the only module that names drivers. Everything is made when it is first asked for.

Built-in drivers are plug-ins like any other, registered here before third parties' so that those are asked first.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from inkev.base.errors import TrustError, UserError
from inkev.base.paths import BPFFS, Root
from inkev.plugins.hookspecs import Builder, Kernel, Linker, Source, hookimpl

if TYPE_CHECKING:
    from inkev.agent.diagnosis import Finding
    from inkev.agent.graphs import Graphs
    from inkev.agent.packages import Packages
    from inkev.agent.settings import Settings
    from inkev.host.checking import Checker
    from inkev.host.store import Store
    from inkev.package.manifest import Manifest
    from inkev.plugins.manager import BrokenPlugin, Plugins


class FolderSources:
    """Package sources that are folders."""

    @hookimpl
    def inkev_source(self, location: str) -> Source | None:
        """Return a folder source for a path or a file: URL."""
        if "://" in location and not location.startswith("file://"):
            return None
        from inkev.registry_client.folder import FolderSource

        return FolderSource(Path(location.removeprefix("file://")).expanduser())


class ClangBuilder:
    """The dialects that clang compiles."""

    @hookimpl
    def inkev_builder(self, dialect: str) -> Builder | None:
        """Return the builder of the dialects inkev, xdp and tc."""
        if dialect not in {"inkev", "xdp", "tc"}:
            return None
        from inkev.toolchain.build import build_folder

        return build_folder


class LlvmLinker:
    """Linking by LLVM in a worker process."""

    @hookimpl
    def inkev_linker(self, root: Root) -> Linker:
        """Return the linker with the root's object cache."""
        from inkev.toolchain.linker import BitcodeLinker

        return BitcodeLinker(root.cache / "objects")


class LibbpfKernel:
    """Loading and attaching by libbpf and bpf(2)."""

    @hookimpl
    def inkev_kernel(self, root: Root) -> Kernel:
        """Return the kernel driver of the root."""
        from inkev.datapath.kernel import LinuxKernel

        return LinuxKernel(root)


BUILT_IN = {
    "folder-source": FolderSources,
    "clang": ClangBuilder,
    "llvm": LlvmLinker,
    "libbpf": LibbpfKernel,
}


@dataclass
class Wiring:
    """All parts of inkev over one root."""

    root: Root
    sources: tuple[str, ...] = ()
    """Locations that override the configured ones."""

    @cached_property
    def plugins(self) -> Plugins:
        """Built-in drivers, then whatever is installed beside inkev."""
        from inkev.plugins.manager import Plugins

        plugins = Plugins()
        for name, make in BUILT_IN.items():
            plugins.register(name, make())
        plugins.load_entry_points()
        return plugins

    def close(self) -> None:
        """End what was started, the linker's worker, and give back what the kernel's driver holds."""
        for part in ("linker", "kernel"):
            made: Linker | Kernel | None = self.__dict__.get(part)
            if made is not None:
                made.close()

    def broken_plugins(self) -> list[BrokenPlugin]:
        """Return the plug-ins that failed so far; asks none."""
        plugins: Plugins | None = self.__dict__.get("plugins")
        return plugins.broken if plugins else []

    @cached_property
    def settings(self) -> Settings:
        """The root's config.toml."""
        from inkev.agent.settings import read_settings

        return read_settings(self.root)

    @cached_property
    def kernel(self) -> Kernel:
        """The kernel side of the root."""
        return self.plugins.ask("inkev_kernel", root=self.root)

    @cached_property
    def linker(self) -> Linker:
        """What links segments, with the root's cache."""
        return self.plugins.ask("inkev_linker", root=self.root)

    @cached_property
    def graphs(self) -> Graphs:
        """The graphs of the root."""
        from inkev.agent.graphs import Graphs
        from inkev.host.host import Host

        host = Host(self.root, self.kernel, self.linker, self.store)
        return Graphs(host, self.kernel, self.notify)

    @cached_property
    def store(self) -> Store:
        """The root's installed packages."""
        from inkev.host.store import Store

        return Store(self.root.store)

    @cached_property
    def packages(self) -> Packages:
        """The packages of the root, and the sources that it knows."""
        from inkev.agent.packages import Packages

        return Packages(self.store, self.open_sources, lambda: self.kernel, self.notify)

    def notify(self, event: str, **arguments: object) -> None:
        """Tell every plug-in of an event, the adapters of installed packages among them."""
        self.plugins.keep_packages(self._manifests())
        self.plugins.notify(event, **arguments)

    def _manifests(self) -> Iterator[Manifest]:
        """Yield what is installed; a damaged record keeps nobody from being told of what was done."""
        for package in self.store.installed():
            with suppress(TrustError):
                yield package.manifest

    def open_sources(self) -> list[Source]:
        """Return the package sources: those given, else those configured."""
        return [self.open_source(location) for location in self.sources or self.settings.sources]

    def open_source(self, location: str) -> Source:
        """Return the package source at a location.

        Raises:
            UserError: `unknown-source`: no plug-in knows such locations.
        """
        found = self.plugins.ask("inkev_source", location=location)
        if found is None:
            raise UserError(
                "unknown-source", f"no plug-in serves {location}", hint="name a folder, or install the plug-in for it"
            )
        return found

    def build(self, folder: Path) -> None:
        """Compile every program of the package in `folder` to bitcode, each by its dialect's builder.

        Raises:
            UserError: `unknown-dialect`; a source does not compile.
        """
        from inkev.host.libraries import find_libraries
        from inkev.package.reading import read_package

        manifest, folder = read_package(folder)
        libraries = find_libraries(manifest, folder, self.store) if manifest.requires.packages else ()
        for dialect in sorted({program.dialect for program in manifest.programs.values()}):
            builder = self.plugins.ask("inkev_builder", dialect=dialect)
            if builder is None:
                raise UserError("unknown-dialect", f"no plug-in builds the dialect {dialect}", where=str(folder))
            builder(folder, libraries)

    @contextmanager
    def checker(self) -> Iterator[Checker]:
        """Lend a checker over a root of its own; nothing of that root is left afterwards."""
        from inkev.host.checking import Checker

        with throwaway_root() as root:
            kernel = self.plugins.ask("inkev_kernel", root=root)
            kernel.preflight()
            linker = self.plugins.ask("inkev_linker", root=self.root)
            try:
                yield Checker(self.build, linker, kernel)
            finally:
                linker.close()

    def diagnose(self) -> list[Finding]:
        """Return what this machine has of all that inkev needs."""
        from inkev.agent.diagnosis import diagnose

        self.plugins.keep_packages(self._manifests())
        return list(diagnose(self.root, lambda: self.kernel, self.plugins))


@contextmanager
def throwaway_root() -> Iterator[Root]:
    """Lend a root that nobody else uses; its folder and its pins are gone afterwards, whatever happened."""
    folder = Path(tempfile.mkdtemp(prefix="inkev-check-"))
    bpffs = BPFFS / f"inkev-check-{os.getpid()}-{folder.name[-8:].replace('.', '_')}"
    try:
        yield Root(folder, bpffs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(bpffs, ignore_errors=True)
