"""Packages that are graphs: written, checked, published, installed, stitched as parts of another graph."""

from __future__ import annotations

import pytest

from inkev.package.scaffold import scaffold
from inkev.resolve.lock import read_lock
from tests.cli.conftest import publish

pytestmark = pytest.mark.kernel
GRAPH = """
[graph]
name = "{name}"
[hooks]
wan = {{ interface = "wan", type = "tc-ingress", netns = "{netns}" }}
[nf.first]
package = "meter"
[nf.guard]
package = "guard==0.1.0"
[nf.second]
package = "meter==0.1.0"
[edges]
chains = ["wan -> first -> guard -> second -> host"]
stitch-points = {{ screening = "first -> guard" }}
"""


@pytest.fixture
def metered(installed, graph_file, tmp_path):
    """A command line with a graph that two instances of a graph package stand in, and the file."""
    scaffold("meter", tmp_path / "meter", "graph")
    assert installed("check", str(tmp_path / "meter")) == 0, installed.out
    publish(tmp_path, tmp_path / "meter")
    assert installed("install", "meter", "--source", str(tmp_path / "folder")) == 0, installed.err
    file = graph_file(text=GRAPH)
    assert installed("stitch", str(file)) == 0, installed.err
    yield installed, file
    installed("unstitch", "edge")


def test_parts_run_under_the_names_of_their_instances(metered, lab):
    command, _ = metered
    assert lab.hosts["client"].ping("10.77.0.2") == 3
    (status,) = command.json("status")
    counted = {one["name"]: one["packets"] for one in status["instances"]}
    assert list(counted) == ["first-count", "guard", "second-count"]
    assert counted["first-count"] == counted["second-count"] >= 3
    assert command("status") == 0
    assert "first   meter 0.1.0  first-count" in command.out
    assert "wan -> in:first-count:out -> in:guard:out -> in:second-count:out -> host" in command.out


def test_stitching_again_does_nothing_and_the_lock_pins_the_graph_package_too(metered):
    command, file = metered
    assert command.json("stitch", str(file))["plan"]["actions"] == []
    pinned = {package.name for package in read_lock(file.with_name("inkev.lock").read_text())}
    assert pinned == {"meter", "guard", "counter"}
    assert command.fails("uninstall", "meter")["code"] == "package-in-use"


def test_functions_are_inserted_between_parts_and_the_file_stays_as_it_is(metered):
    command, file = metered
    before = file.read_text()
    error = command.fails("insert", "guard", "--at", "screening", "--name", "more", "--write")
    assert error["code"] == "graph-package"
    assert command("insert", "guard", "--at", "screening", "--name", "more") == 0, command.err
    assert file.read_text() == before
    assert command("stitch", str(file)) == 0
    (status,) = command.json("status")
    assert "more" not in [one["name"] for one in status["instances"]]


def test_a_graph_package_is_no_function(metered):
    command, _ = metered
    assert command.fails("insert", "meter", "--at", "screening")["code"] == "not-a-function"
    assert command.fails("replace", "guard", "meter")["code"] == "not-a-function"


def test_a_package_that_contains_itself_is_refused(installed, graph_file, tmp_path):
    scaffold("meter", tmp_path / "meter", "graph")
    manifest = tmp_path / "meter/nf.toml"
    manifest.write_text(manifest.read_text().replace('package = "counter>=1.0"', 'package = "meter"'))
    publish(tmp_path, tmp_path / "meter")
    assert installed("install", "meter", "--source", str(tmp_path / "folder")) == 0, installed.err
    file = graph_file(text=GRAPH)
    assert installed.fails("stitch", str(file))["code"] in {"nested-too-deep", "bad-name"}
    assert installed.json("status") == []
