import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import zstandard

from inkev.base.errors import ConflictError, Faults, TrustError, UserError
from inkev.host.store import Store
from inkev.package import tar
from inkev.package.archive import digest_file
from inkev.package.release import Release
from tests.package.folders import make_archive


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def nobody(_digest) -> bool:
    return False


def names(store: Store) -> list[str]:
    return [str(package) for package in store.installed()]


def expected(archive: Path, **changes) -> Release:
    release = Release(name="guard", version="1.0.0", digest=digest_file(archive))
    return msgspec.structs.replace(release, **changes)


def test_an_added_package_is_found_with_its_manifest_and_files(store, tmp_path):
    archive = make_archive(tmp_path)
    added = store.add(archive, expected(archive))
    found = Store(tmp_path / "store").find("guard", "1.0")
    assert found == added
    assert found.digest == digest_file(archive)
    assert found.manifest.permissions.packet == "write"
    assert (found.folder / "src/main.c").read_text() == "int x;"
    store.verify(found)


def test_versions_stand_side_by_side_oldest_first(store, tmp_path):
    for version in ("1.10", "1.9", "1.9rc1"):
        store.add(make_archive(tmp_path, version=version))
    assert names(store) == ["guard 1.9rc1", "guard 1.9", "guard 1.10"]
    assert store.find("guard", "1.9.0").version == "1.9"
    assert store.find("guard", "2.0") is None
    assert store.find("other", "1.9") is None


def test_adding_again_changes_nothing(store, tmp_path):
    archive = make_archive(tmp_path)
    assert store.add(archive) == store.add(archive)
    assert names(store) == ["guard 1.0.0"]


@pytest.mark.parametrize(("change", "code"), [
    ({"digest": "0" * 64}, "digest-mismatch"),
    ({"version": "1.0.1"}, "wrong-package"), ({"name": "other"}, "wrong-package"),
])  # fmt: skip
def test_an_archive_that_is_not_what_was_resolved_is_not_kept(store, tmp_path, change, code):
    archive = make_archive(tmp_path)
    with pytest.raises(TrustError) as caught:
        store.add(archive, expected(archive, **change))
    assert caught.value.code == code
    assert names(store) == []
    assert not list((tmp_path / "store/staging").iterdir())


def test_an_archive_with_a_broken_manifest_is_not_kept(store, tmp_path):
    text = b"schema = 1\n[package]\nname = 'Bad Name'\n"
    raw = tar.header("nf.toml", len(text)) + text + tar.padding(len(text)) + tar.trailer()
    (tmp_path / "x.nfp").write_bytes(zstandard.ZstdCompressor().compress(raw))
    with pytest.raises(Faults):
        store.add(tmp_path / "x.nfp")
    assert names(store) == []


def test_other_bytes_under_an_installed_version_are_refused(store, tmp_path):
    store.add(make_archive(tmp_path, version="1.2"))
    for version in ("1.2", "1.2.0"):
        with pytest.raises(TrustError) as caught:
            store.add(make_archive(tmp_path / "other", version=version, source="int y;"))
        assert caught.value.code == "version-changed"
    assert names(store) == ["guard 1.2"]


def test_a_running_package_is_not_removed(store, tmp_path):
    package = store.add(make_archive(tmp_path))
    with pytest.raises(ConflictError) as caught:
        store.remove(package, lambda digest: digest == package.digest)
    assert caught.value.code == "package-in-use"
    assert names(store) == ["guard 1.0.0"]


def test_a_removed_package_leaves_nothing(store, tmp_path):
    package = store.add(make_archive(tmp_path))
    store.remove(package, nobody)
    assert names(store) == []
    assert {path.name for path in (tmp_path / "store").rglob("*") if path.is_file()} <= {"index.json", "lock"}


@pytest.mark.parametrize("alter", [
    lambda folder: (folder / "src/main.c").write_text("evil"),
    lambda folder: (folder / "src/main.c").unlink(),
    lambda folder: (folder / "src/more.c").write_text(""),
])  # fmt: skip
def test_a_changed_file_of_an_installed_package_is_noticed(store, tmp_path, alter):
    package = store.add(make_archive(tmp_path))
    alter(package.folder)
    with pytest.raises(TrustError) as caught:
        store.verify(package)
    assert caught.value.code == "package-altered"


def test_what_a_killed_install_left_is_swept_away_by_the_next(store, tmp_path):
    store.add(make_archive(tmp_path))
    (tmp_path / "store/staging/half/files").mkdir(parents=True)
    (tmp_path / "store/packages" / ("0" * 64) / "files").mkdir(parents=True)
    assert names(store) == ["guard 1.0.0"]
    store.add(make_archive(tmp_path, version="1.1"))
    assert not list((tmp_path / "store/staging").iterdir())
    assert len(list((tmp_path / "store/packages").iterdir())) == 2


KILLED = """
import sys
from pathlib import Path
from inkev.host.store import Store
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
for archive in sys.argv[2:]:
    store.add(Path(archive))
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("archives")
    return [make_archive(folder, version=f"1.{minor}", source="x" * 50_000) for minor in range(6)]


@pytest.mark.parametrize("delay_ms", [0, 3, 8, 15, 30])
def test_a_store_is_whole_wherever_its_writer_is_killed(store, tmp_path, archives, delay_ms):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "store"), *map(str, archives)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"ready\n"
    deadline = time.monotonic() + delay_ms / 1000
    while time.monotonic() < deadline:
        pass
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    for package in store.installed():
        store.verify(package)
        assert package.manifest.package.name == "guard"
    for archive in archives:
        store.add(archive)
    assert len(names(store)) == 6
    assert not list((tmp_path / "store/staging").iterdir())


def test_installs_at_the_same_time_all_arrive(tmp_path):
    archives = [make_archive(tmp_path, name=f"guard{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda archive: Store(tmp_path / "store").add(archive), archives * 2))
    assert len(names(Store(tmp_path / "store"))) == 8


def test_a_broken_index_is_an_error_and_not_an_empty_store(store, tmp_path):
    store.add(make_archive(tmp_path))
    (tmp_path / "store/index.json").write_text("{")
    with pytest.raises(TrustError) as caught:
        Store(tmp_path / "store").installed()
    assert caught.value.code == "bad-store"


def test_a_store_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        Store(tmp_path / "file/store").add(make_archive(tmp_path))
    assert caught.value.code == "store-not-writable"
