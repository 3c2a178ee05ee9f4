"""What a machine may lack: privileges, bpffs, a kernel that is new enough. Each is an error with a hint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from inkev.cli.main import main

pytestmark = pytest.mark.kernel
NOBODY = 65534
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def folder():
    """A folder that everybody may write."""
    with tempfile.TemporaryDirectory(prefix="ikvt-") as name:
        path = Path(name)
        path.chmod(0o777)
        (path / "graph.toml").write_text('[graph]\nname = "edge"\n[hooks]\nlo = { interface = "lo" }\n'
                                         '[edges]\nchains = ["lo -> host"]\n')  # fmt: skip
        yield path


def run(folder, *words, wrapper=(), **options):
    env = {"PATH": os.environ["PATH"], "INKEV_ROOT": str(folder / "root"), "PYTHONPATH": str(REPOSITORY),
           "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    done = subprocess.run([*wrapper, sys.executable, "-m", "inkev", *words, "--json"], env=env, cwd=folder,
                          capture_output=True, text=True, check=False, **options)  # fmt: skip
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("words", [("stitch",), ("unstitch", "edge"), ("insert", "x", "--at", "lo", "--graph", "edge")])
def test_without_privileges_a_change_is_refused_with_a_hint(folder, words):
    status, document = run(folder, *words, user=NOBODY, group=NOBODY, extra_groups=[])
    assert status == 4
    assert document["errors"][0]["code"] == "no-privileges"
    assert "root" in document["errors"][0]["hint"]


def test_without_privileges_packages_can_still_be_listed(folder):
    assert run(folder, "list", user=NOBODY, group=NOBODY, extra_groups=[]) == (0, [])


def test_without_bpffs_a_change_is_refused_with_the_command_that_mounts_it(folder):
    wrapper = ("unshare", "--mount", "sh", "-c", 'umount /sys/fs/bpf && exec "$@"', "sh")
    status, document = run(folder, "stitch", wrapper=wrapper)
    assert status == 4
    assert document["errors"][0]["code"] == "no-bpffs"
    assert document["errors"][0]["hint"] == "mount -t bpf bpf /sys/fs/bpf"


def test_on_a_kernel_without_a_feature_the_error_names_it_and_when_it_came(folder, monkeypatch):
    status, document = run(folder, "stitch", wrapper=("env", "INKEV_WITHOUT=devmap-hash"))
    assert status == 4
    assert document["errors"][0]["code"] == "kernel-too-old"
    assert "devmap-hash" in document["errors"][0]["message"]
    assert "5.4" in document["errors"][0]["hint"]


def test_the_doctor_finds_this_machine_healthy(root, capsys):
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {finding["name"] for finding in findings} >= {"privileges", "bpffs", "clang", "llvmlite", "bcc"}
    assert not any(finding["state"] == "missing" for finding in findings)


def test_the_doctor_names_what_is_missing(folder):
    status, findings = run(folder, "doctor", user=NOBODY, group=NOBODY, extra_groups=[])
    missing = {finding["name"]: finding["hint"] for finding in findings if finding["state"] == "missing"}
    assert status == 1
    assert missing["privileges"] == "run inkev as root"
