"""Plug-ins: the contract holds, and a broken one harms nobody."""

from __future__ import annotations

import importlib
import subprocess
import sys

import click
import pytest

from inkev.package.manifest import Manifest, Package
from inkev.plugins.hookspecs import hookimpl
from inkev.plugins.manager import Plugins


def manifest(name: str, version: str = "1.0") -> Manifest:
    return Manifest(schema=1, package=Package(name=name, version=version, summary=name, license="MIT"))


class Recorder:
    def __init__(self) -> None:
        self.seen = []

    @hookimpl
    def inkev_installed(self, package: str, digest: str) -> None:
        self.seen.append((package, digest))


class Careless:
    @hookimpl
    def inkev_installed(self, package: str) -> None:
        raise RuntimeError(package)


class Sources:
    def __init__(self, scheme: str) -> None:
        self.scheme = scheme

    @hookimpl
    def inkev_source(self, location: str) -> str | None:
        return self.scheme if location.startswith(self.scheme) else None


def test_a_plug_in_registered_later_is_asked_first_and_may_pass():
    plugins = Plugins()
    plugins.register("first", Sources("fi"))
    plugins.register("second", Sources("file"))
    assert plugins.ask("inkev_source", location="file://x") == "file"
    assert plugins.ask("inkev_source", location="fi://x") == "fi"
    assert plugins.ask("inkev_source", location="http://x") is None


def test_an_event_reaches_everybody_though_one_of_them_raises():
    plugins, before, after = Plugins(), Recorder(), Recorder()
    plugins.register("before", before)
    plugins.register("careless", Careless())
    plugins.register("after", after)
    plugins.notify("inkev_installed", package="fw", version="1.0", digest="d")
    assert before.seen == after.seen == [("fw", "d")]
    assert [(broken.name, broken.why) for broken in plugins.broken] == [
        ("careless", "inkev_installed: RuntimeError: fw")
    ]


def test_a_plug_in_that_names_an_unknown_argument_is_refused():
    class Wrong:
        @hookimpl
        def inkev_installed(self, colour: str) -> None: ...

    with pytest.raises(Exception, match="colour"):
        Plugins().register("wrong", Wrong())


def test_every_installed_package_is_a_plug_in_once():
    plugins = Plugins()
    plugins.keep_packages([manifest("nat"), manifest("firewall")])
    plugins.keep_packages([manifest("nat"), manifest("firewall")])
    assert [found.package.name for found in plugins.packages()] == ["firewall", "nat"]
    assert plugins.names() == ["package:firewall==1.0", "package:nat==1.0"]
    plugins.keep_packages([manifest("firewall")])
    assert [found.package.name for found in plugins.packages()] == ["firewall"]


def test_a_broken_distribution_is_named_and_isolated(tmp_path, monkeypatch):
    for name, body in (("good", GOOD), ("bad", "raise ValueError('cannot start')")):
        (tmp_path / f"ikvt_{name}.py").write_text(body)
        info = tmp_path / f"ikvt_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ikvt-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[inkev]\n{name} = ikvt_{name}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    plugins = Plugins()
    plugins.load_entry_points()
    assert "good" in plugins.names()
    assert [(broken.name, broken.why) for broken in plugins.broken] == [("bad", "ValueError: cannot start")]
    assert isinstance(plugins.commands()["greet"], click.Command)


GOOD = """
import click
from inkev.plugins.hookspecs import hookimpl

@hookimpl
def inkev_commands():
    return {"greet": click.Command("greet", callback=lambda: print("hello"))}
"""


def test_a_command_of_a_plug_in_stands_beside_the_built_in_ones(tmp_path):
    (tmp_path / "ikvt_good.py").write_text(GOOD)
    info = tmp_path / "ikvt_good-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ikvt-good\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[inkev]\ngood = ikvt_good\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from inkev.cli.main import main; sys.exit(main(['greet']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
