"""`inkev.lock`: the same packages again, on this host and on another."""

from __future__ import annotations

import pytest

from inkev.cli.main import main
from inkev.package.scaffold import scaffold
from inkev.resolve.lock import read_lock
from tests.cli.conftest import publish

pytestmark = pytest.mark.kernel
GRAPH = """
[graph]
name = "{name}"
[hooks]
wan = {{ interface = "wan", type = "tc-ingress", netns = "{netns}" }}
[nf.guard]
package = "guard"
[edges]
chains = ["wan -> guard -> host"]
"""


@pytest.fixture
def stitched(installed, graph_file):
    """A command line with a graph of guard 0.1.0, and the path of its lock."""
    file = graph_file(text=GRAPH)
    assert installed("stitch", str(file)) == 0, installed.err
    yield installed, file, file.with_name("inkev.lock")
    installed("unstitch", "edge")


def versions(lock):
    return [(package.name, package.version) for package in read_lock(lock.read_text())]


def running(command):
    (status,) = command.json("status", "edge")
    return [(instance["package"], instance["version"]) for instance in status["instances"]]


def test_a_stitch_pins_what_it_took_and_the_next_one_takes_it_again(stitched):
    command, file, lock = stitched
    assert versions(lock) == [("guard", "0.1.0")]
    before = lock.stat().st_ino
    assert command("install", "guard==0.2.0") == 0
    assert command("unstitch", "edge") == 0
    assert command("stitch", str(file)) == 0
    assert running(command) == [("guard", "0.1.0")]
    assert lock.stat().st_ino == before, "what is pinned already is not written again"


def test_an_upgrade_takes_the_newest_and_pins_it(stitched):
    command, file, lock = stitched
    assert command("install", "guard==0.2.0") == 0
    assert command.json("plan", str(file))["plan"]["actions"] == []
    assert command.json("plan", str(file), "--upgrade")["plan"]["actions"] != []
    assert versions(lock) == [("guard", "0.1.0")]
    assert command("stitch", str(file), "--upgrade") == 0, command.err
    assert running(command) == versions(lock) == [("guard", "0.2.0")]


def test_a_file_that_asks_for_another_version_gets_it(stitched):
    command, file, lock = stitched
    assert command("install", "guard==0.2.0") == 0
    file.write_text(file.read_text().replace('"guard"', '"guard==0.2.0"'))
    assert command("stitch", str(file)) == 0
    assert running(command) == versions(lock) == [("guard", "0.2.0")]


def test_a_change_that_is_written_to_the_file_is_pinned(stitched):
    command, _file, lock = stitched
    assert command("replace", "guard", "guard", "--config", "min-ttl=3", "--write") == 0
    assert command("install", "guard==0.2.0") == 0
    assert command("replace", "guard", "guard==0.2.0", "--write") == 0
    assert versions(lock) == [("guard", "0.2.0")]


def test_a_pinned_package_that_is_missing_says_how_to_install_it(stitched):
    command, file, lock = stitched
    assert command("unstitch", "edge") == 0
    assert command("uninstall", "guard") == 0
    assert command("install", "guard==0.2.0") == 0
    error = command.fails("stitch", str(file))
    assert (error["code"], error["where"]) == ("package-not-installed", "nf.guard.package")
    assert f"inkev install --lock {lock}" in error["hint"]
    assert command("install", "--lock", str(lock)) == 0, command.err
    assert command("stitch", str(file)) == 0
    assert running(command) == [("guard", "0.1.0")]


def test_another_host_installs_exactly_what_is_pinned(stitched, source, tmp_path, capsys, monkeypatch):
    lock = stitched[2]
    monkeypatch.chdir(lock.parent)
    other = ["--root", str(tmp_path / "other")]
    assert main([*other, "install", "--locked", "--dry-run", "--source", str(source)]) == 0
    assert capsys.readouterr().out == "would install guard 0.1.0\n"
    assert main([*other, "install", "--locked", "--source", str(source)]) == 0
    assert capsys.readouterr().out.startswith("installed guard 0.1.0")
    assert main([*other, "install", "--locked", "--source", str(source)]) == 0
    assert main([*other, "install", "guard", "--lock", str(lock), "--source", str(source)]) == 0
    assert capsys.readouterr().out.endswith("guard 0.1.0 is installed\n")


def test_other_bytes_under_a_pinned_version_are_not_trusted(stitched, tmp_path):
    command, file, lock = stitched
    pinned = lock.read_text()
    digest = read_lock(pinned)[0].digest
    lock.write_text(pinned.replace(digest, "0" * 64))
    for words in (("stitch", str(file)), ("install", "--lock", str(lock))):
        error = command.fails(*words)
        assert (error["code"], error["status"]) == ("digest-mismatch", 3)
    assert command("stitch", str(file), "--upgrade") == 0
    assert lock.read_text() == pinned


def test_a_source_whose_release_has_other_bytes_is_passed_over(stitched, command, tmp_path, capsys):
    lock = stitched[2]
    scaffold("guard", tmp_path / "guard")
    (tmp_path / "guard/README.md").write_text("another guard 0.1.0\n")
    publish(tmp_path, tmp_path / "guard")
    words = ["--root", str(tmp_path / "other"), "install", "--lock", str(lock), "--source", str(tmp_path / "folder")]
    assert main(words) == 3
    assert "digest-mismatch" in capsys.readouterr().err


def test_a_version_that_nobody_has_and_a_lock_that_is_none_are_told(stitched, tmp_path):
    command, _, lock = stitched
    lock.write_text(lock.read_text().replace("0.1.0", "0.1.9"))
    assert command.fails("install", "--lock", str(lock))["code"] == "no-such-version"
    lock.write_text("schema = 1\n[[package]]\n")
    assert command.fails("install", "--lock", str(lock))["code"] == "wrong-type"
    assert command.fails("install", "--lock", str(tmp_path / "none"))["code"] == "no-such-file"
    assert command("install") == 2


def test_graphs_of_one_folder_share_the_file_and_nothing_else(stitched, graph_file, tmp_path):
    command, _, lock = stitched
    assert command("install", "guard==0.2.0") == 0
    second = graph_file("second", GRAPH)
    second.write_text(second.read_text().replace("tc-ingress", "tc-egress"))
    assert command("stitch", str(second)) == 0, command.err
    found = {(package.version, package.graphs) for package in read_lock(lock.read_text())}
    assert found == {("0.1.0", ("edge",)), ("0.2.0", ("second",))}
    assert command("unstitch", "second") == 0


def test_a_folder_that_cannot_be_written_is_a_warning(stitched):
    command, file, lock = stitched
    lock.unlink()
    (lock.with_name(".inkev.lock.new")).mkdir()
    document = command.json("stitch", str(file))
    assert "could not be written" in document["warnings"][0]
