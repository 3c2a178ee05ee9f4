"""Packages from the command line: published to a folder, installed from it, listed, explained, removed."""

from __future__ import annotations

import json
import shutil

import pytest

from inkev.cli.main import main
from inkev.package.scaffold import scaffold

pytestmark = pytest.mark.kernel


def names(packages):
    return [(package["name"], package["version"]) for package in packages]


def test_a_published_package_is_installed_listed_and_removed(configured):
    assert configured("install", "guard") == 0, configured.err
    assert configured.out == "installed guard 0.2.0: may read packets\n"
    assert names(configured.json("list")) == [("guard", "0.2.0")]
    assert configured("install", "guard==0.2.0") == 0
    assert configured.out == "guard 0.2.0 is installed\n"
    assert configured("uninstall", "guard") == 0
    assert configured.out == "removed guard 0.2.0\n"
    assert configured.json("list") == []
    assert configured("list") == 0
    assert configured.out == "no packages are installed\n"


def test_a_version_is_chosen_by_what_is_asked_for(configured):
    report = configured.json("install", "guard<0.2", "counter")
    assert names(report["packages"]) == [("counter", "1.0.0"), ("guard", "0.1.0")]
    assert all(package["new"] and package["asked"] for package in report["packages"])


def test_dry_runs_change_nothing(configured, root):
    assert configured("install", "guard", "--dry-run") == 0
    assert configured.out == "would install guard 0.2.0\n"
    assert configured.json("list") == []
    configured("install", "guard")
    assert configured("uninstall", "guard", "--dry-run") == 0
    assert names(configured.json("list")) == [("guard", "0.2.0")]


def test_a_source_on_the_command_line_overrides_the_configured_ones(configured, tmp_path):
    error = configured.fails("install", "guard", "--source", str(tmp_path / "none"))
    assert error["code"] == "no-such-source"
    (tmp_path / "empty").mkdir()
    assert configured.fails("install", "guard", "--source", str(tmp_path / "empty"))["code"] == "no-such-package"


def test_without_any_source_the_error_says_how_to_name_one(command, tmp_path):
    scaffold("guard", tmp_path / "guard")
    for words in (("install", "guard"), ("publish", str(tmp_path / "guard"))):
        error = command.fails(*words)
        assert error["code"] == "no-source"
        assert "--source" in error["hint"]


def test_what_is_installed_needs_no_source(configured, root):
    configured("install", "guard")
    (root.folder / "config.toml").unlink()
    assert configured("install", "guard") == 0
    assert configured("info", "guard") == 0


def test_search_finds_by_every_word(configured):
    assert [found["name"] for found in configured.json("search", "packets", "counts")] == ["counter"]
    assert configured.json("search", "nothing-like-it") == []
    configured("install", "guard==0.1.0")
    (guard,) = configured.json("search", "guard")
    assert (guard["version"], guard["installed"]) == ("0.2.0", ["0.1.0"])
    assert configured("search") == 0
    assert "switch" in configured.out


def test_info_explains_a_package_that_is_not_installed(configured):
    assert configured("info", "guard==0.1.0") == 0, configured.err
    assert "min-ttl  u8  default 2" in configured.out
    assert configured.json("info", "guard")["package"]["version"] == "0.2.0"
    assert configured.fails("info", "gaurd")["hint"] == "did you mean guard?"


def test_an_unknown_package_or_version_is_refused_with_a_hint(configured):
    for spec, code in (("nothing", "no-such-package"), ("guard==9.9", "no-such-version"), ("gua rd", "bad-requirement"),
                       ("guard=>1", "bad-requirement")):  # fmt: skip
        error = configured.fails("install", spec)
        assert (error["code"], error["status"]) == (code, 2)
        assert error["hint"]
    assert configured.json("list") == []


def test_requirements_that_cannot_go_together_are_explained(configured):
    error = configured.fails("install", "guard>=0.2", "guard<0.2")
    assert error["code"] == "unresolvable"
    assert "guard" in error["why"] + error["message"]


def test_an_archive_that_is_not_what_was_published_is_not_trusted(command, source, tmp_path):
    shutil.copytree(source, tmp_path / "folder")
    archive = tmp_path / "folder/packages/guard-0.2.0.nfp"
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    error = command.fails("install", "guard", "--source", str(tmp_path / "folder"))
    assert (error["code"], error["status"]) == ("digest-mismatch", 3)
    assert command.json("list") == []


def test_a_published_version_never_changes(command, tmp_path):
    folder = tmp_path / "guard"
    scaffold("guard", folder)
    source = str(tmp_path / "folder")
    published = command.json("publish", str(folder), "--source", source)
    assert published["source"] == source
    assert command.json("publish", str(folder), "--source", source) == published
    readme = folder / "README.md"
    readme.write_text(readme.read_text() + "changed\n")
    assert command.fails("publish", str(folder), "--source", source)["code"] == "version-exists"


def test_a_dry_run_of_publish_publishes_nothing(command, tmp_path):
    scaffold("guard", tmp_path / "guard")
    assert command("publish", str(tmp_path / "guard"), "--source", str(tmp_path / "folder"), "--dry-run") == 0
    assert not (tmp_path / "folder").exists()


def test_a_broken_configuration_is_told(command, root):
    root.folder.mkdir()
    (root.folder / "config.toml").write_text("sources = 1\n")
    error = command.fails("install", "guard")
    assert (error["code"], error["where"]) == ("bad-settings", str(root.folder / "config.toml"))


def test_two_roots_share_nothing(configured, tmp_path, capsys):
    configured("install", "guard")
    capsys.readouterr()
    assert main(["--root", str(tmp_path / "other"), "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


BROKEN = """
from inkev.plugins.hookspecs import hookimpl

@hookimpl
def inkev_installed(package, version, digest):
    print("told of", package, version)

@hookimpl
def inkev_uninstalled(package):
    raise RuntimeError("cannot forget " + package)
"""


def test_plug_ins_are_told_and_their_failures_are_warnings(configured, tmp_path, monkeypatch):
    (tmp_path / "ikvt_watcher.py").write_text(BROKEN)
    info = tmp_path / "ikvt_watcher-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ikvt-watcher\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[inkev]\nwatcher = ikvt_watcher\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert configured("install", "guard") == 0
    assert configured.out.startswith("told of guard 0.2.0\n")
    assert configured("uninstall", "guard") == 0
    assert "warning: plug-in watcher failed: inkev_uninstalled: RuntimeError: cannot forget guard" in configured.err
    assert configured.json("list") == []
