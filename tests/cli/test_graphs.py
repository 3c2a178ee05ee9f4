"""Graphs from the command line, on the real kernel, with real packets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel
SERVER = "10.77.0.2"


@pytest.fixture
def running(installed, graph_file):
    assert installed("stitch", str(graph_file())) == 0, installed.err
    yield installed
    installed("unstitch", "edge")


def status_of(command):
    (status,) = command.json("status")
    return status


def instances(command):
    return {one["name"]: one for one in status_of(command)["instances"]}


def test_a_graph_is_planned_stitched_and_taken_out(installed, graph_file, lab):
    file = str(graph_file())
    plan = installed.json("plan", file)
    assert plan["plan"]["actions"]
    assert not plan["applied"]
    assert installed.json("status") == []
    assert installed("stitch", file) == 0
    assert "generation 1 runs" in installed.out
    assert installed("stitch", file) == 0
    assert "nothing to do" in installed.out
    assert lab.hosts["client"].ping(SERVER) == 3
    assert instances(installed)["count"]["metrics"]["icmp"] == 3
    assert installed("unstitch") == 0
    assert installed.json("status") == []
    assert lab.hosts["client"].ping(SERVER) == 3


def test_dry_runs_say_what_they_would_do_and_do_nothing(running, graph_file):
    before = status_of(running)["generation"]
    for words in (
        ("insert", "guard", "--at", "screening"),
        ("replace", "count", "counter==1.0.0"),
        ("remove", "count"),
        ("unstitch", "edge"),
    ):
        assert running(*words, "--dry-run") == 0, running.err
        assert "nothing do" in running.out  # nothing done, or nothing to do
    assert status_of(running)["generation"] == before


def test_functions_are_inserted_replaced_and_removed_by_name(running, lab):
    client = lab.hosts["client"]
    assert running("insert", "guard==0.1.0", "--at", "edge.screening", "--config", "min-ttl=2") == 0, running.err
    assert client.ping(SERVER) == 3
    assert instances(running)["guard"]["metrics"] == {"checked": 3}
    assert running("replace", "guard", "guard==0.1.0", "--config", "min-ttl=255") == 0, running.err
    assert client.ping(SERVER, count=1, timeout=0.2) == 0
    assert instances(running)["guard"]["drops"] == {"expired": 1}
    assert running("remove", "edge/guard") == 0, running.err
    assert client.ping(SERVER) == 3
    assert list(instances(running)) == ["count"]


def test_write_changes_the_file_too(running, tmp_path):
    assert running("insert", "guard", "--at", "screening", "--name", "second", "--write", "--config", "min-ttl=3") == 0
    text = (tmp_path / "edge.toml").read_text()
    assert "[nf.second]" in text
    assert "min-ttl = 3" in text
    planned = running.json("stitch", str(tmp_path / "edge.toml"), "--dry-run")["plan"]
    assert planned["changes"] == ["link what stands apart"]
    assert running("remove", "second", "--write") == 0
    assert "second" not in (tmp_path / "edge.toml").read_text()


def test_status_shows_the_graph_as_a_person_reads_it(running, lab):
    lab.hosts["client"].ping(SERVER)
    assert running("status", "edge") == 0
    for part in ("edge  generation 1", "wan -> in:count:out -> host", "tc-ingress", "counter 1.0.0", "icmp 3",
                 "screening", "hook:wan"):  # fmt: skip
        assert part in running.out
    hooks = status_of(running)["hooks"]
    assert [(hook["interface"], hook["how"] in {"tcx", "clsact"}) for hook in hooks] == [("wan", True)]


def test_several_graphs_run_side_by_side_and_must_be_named(running, graph_file, tmp_path):
    second = graph_file("second").read_text().replace("tc-ingress", "tc-egress")
    (tmp_path / "second.toml").write_text(second)
    assert running("stitch", str(tmp_path / "second.toml")) == 0, running.err
    assert running.fails("remove", "count")["code"] == "which-graph"
    assert {status["name"] for status in running.json("status")} == {"edge", "second"}
    assert [status["name"] for status in running.json("status", "second")] == ["second"]
    assert running("unstitch", "second") == 0


REFUSED = {
    ("insert", "guard", "--at", "nowhere"): "no-such-point",
    ("insert", "nothing", "--at", "screening"): "package-not-installed",
    ("insert", "guard==9.9", "--at", "screening"): "package-not-installed",
    ("insert", "guard", "--at", "screening", "--name", "count"): "name-clash",
    ("insert", "guard", "--at", "screening", "--config", "min-ttl=900"): "bad-value",
    ("insert", "guard", "--at", "screening", "--config", "speed=9"): "unknown-option",
    ("replace", "nothing", "guard"): "no-such-instance",
    ("remove", "nothing"): "no-such-instance",
    ("status", "other"): "no-such-graph",
    ("unstitch", "other"): "no-such-graph",
    ("table", "count.rules", "list"): "no-such-table",
    ("table", "rules", "list"): "bad-table-name",
    ("uninstall", "counter"): "package-in-use",
}


def test_what_cannot_be_done_is_refused_and_the_graph_runs_on(running, lab):
    for words, code in REFUSED.items():
        error = running.fails(*words)
        assert error["code"] == code, words
        assert error["hint"] or error["why"], words
    assert status_of(running)["generation"] == 1
    assert lab.hosts["client"].ping(SERVER, count=1) == 1


SWITCH = """
[graph]
name = "{name}"

[hooks]
wan = {{ interface = "wan", type = "tc-ingress", netns = "{netns}" }}

[nf.sw]
package = "switch"

[edges]
chains = ["wan <-> p1:sw:p2 -> host"]
"""


def test_tables_are_listed_changed_and_loaded(installed, graph_file, tmp_path):
    assert installed("stitch", str(graph_file(text=SWITCH))) == 0, installed.err
    rows = lambda: installed.json("table", "sw.vlans", "list")["rows"]  # noqa: E731
    empty = rows()
    assert installed("table", "sw.vlans", "add", "vlan=10", "ports=3") == 0, installed.err
    assert {"vlan": 10, "ports": 3} in [{key: row[key] for key in ("vlan", "ports")} for row in rows()]
    assert installed("table", "edge/sw.stations", "add", "mac=02:00:00:00:00:07", "port=p2") == 0, installed.err
    assert installed("table", "sw.stations", "list") == 0
    assert "02:00:00:00:00:07" in installed.out
    (tmp_path / "rows.json").write_text(json.dumps([{"vlan": 20, "ports": 1}]))
    assert installed("table", "sw.vlans", "load", str(tmp_path / "rows.json")) == 0, installed.err
    assert len(rows()) >= len(empty)
    assert installed("table", "sw.stations", "remove", "mac=02:00:00:00:00:07") == 0
    assert installed.fails("table", "sw.stations", "remove", "mac=02:00:00:00:00:07")["code"] == "no-such-row"
    assert installed.fails("table", "sw.stations", "add", "mac=zz", "port=p1")["code"] == "bad-value"
    assert installed.fails("table", "sw.stations", "add", "port")["code"] == "bad-row"
    assert installed("unstitch") == 0


def test_a_graph_file_with_faults_tells_them_all(installed, graph_file, tmp_path):
    file = graph_file()
    file.write_text(
        file.read_text()
        .replace("wan -> count -> host", "wan -> cuont -> out")
        .replace("[nf.count]", "[nf.count]\ncolour = 1")
    )
    document = installed.json("stitch", str(file))
    assert document["exit_status"] == 2
    assert len(document["errors"]) > 1
    assert all(error["where"] for error in document["errors"])


def test_a_missing_interface_is_refused(installed, graph_file):
    file = graph_file()
    file.write_text(file.read_text().replace('interface = "wan"', 'interface = "ikvt-none"'))
    error = installed.fails("stitch", str(file))
    assert error["code"] == "no-such-interface"
    assert installed.json("status") == []


def test_a_missing_graph_file_is_told(installed):
    assert installed.fails("stitch", "/nonexistent/graph.toml")["code"] == "no-such-file"


def test_a_running_package_is_known_to_the_completion(running):
    def complete(*words):
        env = {**os.environ, "_INKEV_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["inkev", *words]),
               "COMP_CWORD": str(len(words))}  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "inkev"], env=env, capture_output=True, text=True, check=True)
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert complete("status", "e") == ["edge"]
    assert complete("remove", "c") == ["count"]
    assert complete("insert", "gu") == ["guard"]
    assert complete("insert", "guard", "--at", "s") == ["screening"]


def test_the_graph_file_default_is_graph_toml(installed, graph_file, tmp_path, monkeypatch):
    Path(graph_file()).rename(tmp_path / "graph.toml")
    monkeypatch.chdir(tmp_path)
    assert installed("plan") == 0, installed.err
