"""Libraries of C headers: required by a package, found beside it or among what is installed."""

from __future__ import annotations

import shutil

import pytest

from inkev.package.scaffold import scaffold
from tests.cli.conftest import publish

pytestmark = pytest.mark.kernel


@pytest.fixture
def package(tmp_path):
    """A folder with a guard that includes a header of the library `sums`, and with that library."""
    scaffold("sums", tmp_path / "sums", "library")
    scaffold("guard", tmp_path / "guard")
    manifest, source = tmp_path / "guard/nf.toml", tmp_path / "guard/src/guard.bpf.c"
    manifest.write_text(f'{manifest.read_text()}\n[requires.packages]\nsums = ">=0.1"\n')
    text = source.read_text().replace("#include <inkev/nf.h>", "#include <inkev/nf.h>\n#include <sums.h>")
    source.write_text(text.replace("ip->ttl < ", "ip->ttl < (__u8)sums_max(0, 0) + "))
    assert "sums_max" in source.read_text()
    return tmp_path / "guard"


def test_a_library_beside_the_package_is_included(command, package):
    assert command("check", str(package)) == 0, command.out + command.err
    (header,) = (package.parent / "sums/include").iterdir()
    header.write_text(header.read_text().replace("a > b", "a > @"))
    error = command.fails("check", str(package))
    assert error["code"] == "does-not-compile"
    assert "sums/include/sums.h:11:13" in error["where"]
    sums = package.parent / "sums/nf.toml"
    sums.write_text(sums.read_text().replace("0.1.0", "0.0.1"))
    assert command.fails("check", str(package))["code"] == "library-version"


def test_an_installed_library_is_included_and_installed_with_what_requires_it(command, package, tmp_path):
    publish(tmp_path, package.parent / "sums")
    shutil.rmtree(package.parent / "sums")
    assert command.fails("check", str(package))["code"] == "does-not-compile"
    source = str(tmp_path / "folder")
    assert command("install", "sums", "--source", source) == 0, command.err
    assert command("publish", str(package), "--source", source) == 0, command.err
    bitcode = (package / "build/main.xdp.bc").read_bytes()
    assert str(tmp_path).encode() not in bitcode
    assert command("uninstall", "sums") == 0
    report = command.json("install", "guard", "--source", source)
    assert [one["name"] for one in report["packages"]] == ["guard", "sums"]
    assert command.fails("uninstall", "sums")["code"] == "package-required"
