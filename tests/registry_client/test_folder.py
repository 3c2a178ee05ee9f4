from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inkev.base.errors import ConflictError, TrustError, UserError
from inkev.package.archive import digest_file
from inkev.registry_client.folder import FolderSource
from tests.package.folders import make_archive


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    return FolderSource(tmp_path / "source")


def test_what_is_published_is_listed_and_fetched(source, tmp_path):
    archive = make_archive(tmp_path, requires=[("counter", ">=1")])
    release = source.publish(archive)
    assert source.versions("guard") == [release]
    assert (release.version, release.requires, release.digest) == ("1.0.0", {"counter": ">=1"}, digest_file(archive))
    assert source.fetch("guard", "1.0").read_bytes() == archive.read_bytes()


def test_versions_are_listed_oldest_first(source, tmp_path):
    for version in ("1.10", "1.9", "2.0rc1"):
        source.publish(make_archive(tmp_path, version=version))
    assert [release.version for release in source.versions("guard")] == ["1.9", "1.10", "2.0rc1"]


def test_publishing_the_same_bytes_again_changes_nothing(source, tmp_path):
    archive = make_archive(tmp_path)
    assert source.publish(archive) == source.publish(archive)
    assert len(source.versions("guard")) == 1


@pytest.mark.parametrize("version", ["1.2", "1.2.0"])
def test_a_published_version_never_changes(source, tmp_path, version):
    source.publish(make_archive(tmp_path, version="1.2"))
    with pytest.raises(ConflictError) as caught:
        source.publish(make_archive(tmp_path / "other", version=version, source="int y;"))
    assert caught.value.code == "version-exists"
    assert [release.version for release in source.versions("guard")] == ["1.2"]


def test_search_finds_names_and_summaries(source, tmp_path):
    source.publish(make_archive(tmp_path, version="1.0", summary="Old"))
    source.publish(make_archive(tmp_path, version="1.1", summary="Keeps Packets out"))
    source.publish(make_archive(tmp_path, name="other", version="1.0rc1"))
    assert [(each.name, each.version) for each in source.search("")] == [("guard", "1.1"), ("other", "1.0rc1")]
    assert [each.name for each in source.search("packets")] == ["guard"]
    assert source.search("nothing") == []


def test_a_changed_archive_is_not_handed_out(source, tmp_path):
    source.publish(make_archive(tmp_path))
    path = next((tmp_path / "source/packages").iterdir())
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(TrustError) as caught:
        source.fetch("guard", "1.0.0")
    assert caught.value.code == "digest-mismatch"
    path.unlink()
    with pytest.raises(UserError) as missing:
        source.fetch("guard", "1.0.0")
    assert missing.value.code == "archive-missing"


def test_what_is_no_archive_is_not_published(source, tmp_path):
    (tmp_path / "x.nfp").write_bytes(b"junk")
    with pytest.raises(TrustError):
        source.publish(tmp_path / "x.nfp")
    assert not (tmp_path / "source").exists()


def test_a_yanked_release_stays_listed_with_its_reason(source, tmp_path):
    source.publish(make_archive(tmp_path))
    source.yank("guard", "1.0", "loses packets")
    assert source.versions("guard")[0].yanked == "loses packets"
    assert source.search("guard") == []
    assert source.fetch("guard", "1.0.0").exists()


def test_publishing_at_the_same_time_loses_nothing(tmp_path):
    archives = [make_archive(tmp_path, version=f"1.{minor}") for minor in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda archive: FolderSource(tmp_path / "source").publish(archive), archives))
    assert len(FolderSource(tmp_path / "source").versions("guard")) == 8


def test_a_missing_folder_and_a_broken_index_are_errors(source, tmp_path):
    with pytest.raises(UserError) as caught:
        source.versions("guard")
    assert caught.value.code == "no-such-source"
    source.publish(make_archive(tmp_path))
    (tmp_path / "source/index/guard.json").write_text('{"releases": [{"name": "evil"}]}')
    with pytest.raises(UserError) as broken:
        source.versions("guard")
    assert broken.value.code == "bad-index"
    with pytest.raises(UserError):
        source.versions("../guard")
