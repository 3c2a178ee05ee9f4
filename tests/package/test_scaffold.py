"""New packages are well-formed from the first minute; tests/cli/test_authoring.py builds and checks them."""

from __future__ import annotations

import pytest

from inkev.base.errors import ConflictError, UserError
from inkev.package.packet_tests import read_packet_tests
from inkev.package.reading import read_package
from inkev.package.scaffold import scaffold

SHAPES = [("function", "inkev"), ("function", "xdp"), ("function", "tc"), ("graph", "inkev"), ("library", "inkev")]


@pytest.mark.parametrize(("kind", "dialect"), SHAPES)
def test_every_kind_and_dialect_has_a_faultless_manifest_and_tests(tmp_path, kind, dialect):
    scaffold("my-guard2", tmp_path / "p", kind, dialect)
    manifest, _folder = read_package(tmp_path / "p")
    assert (manifest.package.name, manifest.package.kind) == ("my-guard2", kind)
    assert bool(read_packet_tests(tmp_path / "p", manifest)) == (kind == "function")


@pytest.mark.parametrize(("kind", "dialect"), SHAPES)
def test_no_placeholder_is_left(tmp_path, kind, dialect):
    for path in scaffold("guard", tmp_path / "p", kind, dialect):
        assert "@" not in (tmp_path / "p" / path).read_text()
        assert "template" not in path.name


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(ConflictError, match="not an empty folder"):
        scaffold("guard", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_bad_name_is_refused_with_a_better_one(tmp_path):
    with pytest.raises(UserError) as caught:
        scaffold("My Guard", tmp_path / "p")
    assert caught.value.hint == "inkev new my-guard"
    assert not (tmp_path / "p").exists()
