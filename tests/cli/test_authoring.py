"""`inkev new`, `check` and `build`, as an author uses them, on the real kernel."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from inkev.cli.main import main

BPFFS = Path("/sys/fs/bpf")
pytestmark = pytest.mark.kernel


@pytest.fixture
def author(tmp_path, monkeypatch):
    """A folder to work in, with a root of its own."""
    monkeypatch.setenv("INKEV_ROOT", str(tmp_path / "root"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*options):
    assert main(["new", "guard", *options]) == 0
    return Path("guard")


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def checked(capsys):
    capsys.readouterr()
    status = main(["check", "guard", "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("options", [["--dialect", "inkev"], ["--dialect", "xdp"], ["--dialect", "tc"],
                                     ["--kind", "graph"], ["--kind", "library"]])  # fmt: skip
def test_a_new_package_passes_its_check_at_once(author, capsys, options):
    new(*options)
    status, report = checked(capsys)
    assert (status, report["passed"], report["warnings"]) == (0, True, [])
    if "--dialect" in options:
        assert report["programs"]
        assert report["tests"]


def test_a_check_leaves_nothing_in_the_kernel(author, capsys):
    new()
    checked(capsys)
    edit(Path("guard/tests/basic.toml"), 'verdict = "drop"', 'verdict = "pass"')
    assert checked(capsys)[0] == 1
    assert not list(BPFFS.glob(f"inkev-check-{os.getpid()}-*"))


def test_a_failing_packet_test_shows_what_was_expected_and_what_came(author, capsys):
    new()
    edit(Path("guard/tests/basic.toml"), 'reason = "expired"', 'reason = "malformed"')
    edit(
        Path("guard/tests/basic.toml"),
        '"Ether()/IP(ttl=5)/UDP(dport=53)", verdict = "forward"',
        '"Ether()/IP(ttl=5)/UDP(dport=53)", verdict = "forward", expect = "Ether()/IP(ttl=4)/UDP(dport=53)"',
    )
    status, report = checked(capsys)
    failures = [test["failures"] for test in report["tests"] if test["failures"]]
    assert status == 1
    assert len(failures) == 2  # xdp and tc
    assert "step 1: verdict: expected drop (malformed), got drop (expired)" in failures[0]
    assert "step 2: IP.ttl: expected 4, got 5" in failures[0]
    assert main(["check", "guard"]) == 1
    assert "IP.ttl: expected 4, got 5" in capsys.readouterr().out


def test_a_wrong_metric_is_told(author, capsys):
    new()
    edit(Path("guard/tests/basic.toml"), "checked = 2", "checked = 7")
    _status, report = checked(capsys)
    assert ["step 2: metric checked: expected 7, got 2"] in [test["failures"] for test in report["tests"]]


def test_a_right_that_is_not_declared_is_found(author, capsys):
    new()
    edit(Path("guard/src/guard.bpf.c"), "\tif (!ip)\n", "\tikv_ipv4_decrease_ttl(pkt);\n\tif (!ip)\n")
    status, report = checked(capsys)
    assert status == 1
    assert {fault["code"] for fault in report["faults"]} == {"permission-missing"}
    assert any(fault["hint"] == 'declare packet = "write"' for fault in report["faults"])
    edit(Path("guard/nf.toml"), 'packet = "read"', 'packet = "write"')
    assert checked(capsys)[1]["faults"] == []


def test_c_that_does_not_compile_points_at_the_authors_line(author, capsys):
    new()
    edit(Path("guard/src/guard.bpf.c"), "ip->ttl <", "ip->time <")
    status, report = checked(capsys)
    assert status == 2
    assert any("guard.bpf.c:" in error["where"] for error in report["errors"])


def test_a_program_that_the_verifier_refuses_is_refused_by_name(author, capsys):
    new("--dialect", "xdp")
    edit(Path("guard/src/guard.bpf.c"), "(void *)(ip + 1) > end || ", "")
    status, report = checked(capsys)
    assert status == 1
    assert report["tests"] == []
    (program,) = report["programs"]
    assert program["faults"][0]["code"] == "verifier-refused"


def test_a_broken_manifest_tells_every_fault(author, capsys):
    new()
    edit(Path("guard/nf.toml"), 'version = "0.1.0"', 'version = "one"')
    edit(Path("guard/nf.toml"), 'type = "u8"', 'type = "u9"')
    status, report = checked(capsys)
    assert status == 2
    assert {error["code"] for error in report["errors"]} == {"bad-version", "unknown-column-type"}
    assert all("nf.toml" in error["where"] for error in report["errors"])


def test_build_makes_the_same_archive_again(author, capsys):
    new()
    capsys.readouterr()
    digests = []
    for _ in range(2):
        assert main(["build", "guard", "--output", "out", "--json"]) == 0
        digests.append(json.loads(capsys.readouterr().out)["digest"])
    assert digests[0] == digests[1]
    assert (author / "out/guard-0.1.0.nfp").is_file()


def test_a_dry_run_of_new_writes_nothing(author, capsys):
    assert main(["new", "guard", "--dry-run"]) == 0
    assert "guard/nf.toml" in capsys.readouterr().out
    assert not Path("guard").exists()
