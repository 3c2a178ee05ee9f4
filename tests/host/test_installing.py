from pathlib import Path

import pytest

from inkev.base.errors import ConflictError, TrustError, UserError
from inkev.host.installing import install, search, uninstall
from inkev.host.store import Store
from inkev.registry_client.folder import FolderSource
from inkev.resolve.lock import LockedPackage
from tests.package.folders import make_archive


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    found = FolderSource(tmp_path / "source")
    for name, version, requires in [
        ("counter", "1.0", []), ("counter", "1.1", []), ("counter", "2.0", []),
        ("firewall", "1.1", []), ("firewall", "1.2.0", [("counter", ">=1,<2")]), ("nat", "1.0", [("counter", ">=2")]),
    ]:  # fmt: skip
        found.publish(make_archive(tmp_path, name, version, requires=requires))
    return found


def nobody(_digest) -> bool:
    return False


def names(store: Store) -> list[str]:
    return [str(package) for package in store.installed()]


def test_what_is_asked_for_comes_with_what_it_requires(store, source):
    report = install(["firewall==1.2"], [source], store)
    assert [(item.name, item.version, item.new, item.asked) for item in report.packages] == [
        ("counter", "1.1", True, False), ("firewall", "1.2.0", True, True),
    ]  # fmt: skip
    assert report.packages[1].permissions.packet == "write"
    assert names(store) == ["counter 1.1", "firewall 1.2.0"]


def test_what_is_installed_serves_where_it_will_do(store, source):
    install(["counter==1.0"], [source], store)
    report = install(["firewall"], [source], store)
    assert [(item.name, item.version, item.new) for item in report.packages] == [
        ("counter", "1.0", False), ("firewall", "1.2.0", True),
    ]  # fmt: skip


def test_asking_by_name_fetches_the_newest(store, source):
    install(["counter==1.0"], [source], store)
    assert install(["counter"], [source], store).packages[0].version == "2.0"
    assert names(store) == ["counter 1.0", "counter 2.0"]


def test_installing_again_needs_no_source(store, source):
    install(["firewall"], [source], store)
    report = install(["firewall==1.2"], [], store)
    assert not any(item.new for item in report.packages)


def test_a_dry_run_keeps_nothing(store, source):
    report = install(["firewall"], [source], store, dry_run=True)
    assert [item.name for item in report.packages] == ["counter", "firewall"]
    assert names(store) == []


def test_a_failed_resolution_changes_nothing(store, source):
    with pytest.raises(UserError) as caught:
        install(["firewall==1.2", "nat"], [source], store)
    assert caught.value.code == "unresolvable"
    assert "requires counter" in caught.value.faults[0].why
    assert names(store) == []


def test_an_unknown_version_lists_the_known_ones(store, source):
    with pytest.raises(UserError) as caught:
        install(["firewall==9"], [source], store)
    assert (caught.value.code, caught.value.faults[0].why) == ("no-such-version", "there are 1.1, 1.2.0")


def test_an_unknown_name_offers_the_nearest(store, source):
    with pytest.raises(UserError) as caught:
        install(["firewal"], [source], store)
    assert (caught.value.code, caught.value.hint) == ("no-such-package", "did you mean firewall?")


def test_a_spoiled_archive_is_not_installed(store, source, tmp_path):
    path = tmp_path / "source/packages/firewall-1.1.nfp"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TrustError):
        install(["firewall==1.1"], [source], store)
    assert names(store) == []


def test_of_one_version_the_first_source_counts(store, source, tmp_path):
    near = FolderSource(tmp_path / "near")
    near.publish(make_archive(tmp_path / "n", "nat", "1.0", source="int near;"))
    report = install(["nat"], [near, source], store)
    assert report.packages[0].source == str(tmp_path / "near")
    assert [each.name for each in search("", [near, source])] == ["counter", "firewall", "nat"]


def test_a_lock_decides_versions_and_digests(store, source):
    release = source.versions("counter")[0]
    pinned = LockedPackage(name="counter", version="1.0", digest=release.digest)
    assert install(["counter"], [source], store, locked=[pinned]).packages[0].version == "1.0"
    with pytest.raises(TrustError) as caught:
        install(["counter"], [source], store, locked=[LockedPackage(name="counter", version="1.0", digest="0" * 64)])
    assert caught.value.code == "digest-mismatch"


def test_uninstall_takes_one_version_out(store, source):
    install(["counter==1.0"], [source], store)
    install(["counter==2.0"], [source], store)
    with pytest.raises(UserError) as caught:
        uninstall("counter", store, nobody)
    assert caught.value.code == "which-version"
    uninstall("counter==1.0", store, nobody, dry_run=True)
    assert uninstall("counter==1.0", store, nobody).version == "1.0"
    assert names(store) == ["counter 2.0"]


def test_uninstall_is_refused_while_a_graph_runs_it_or_a_package_requires_it(store, source):
    install(["firewall==1.2"], [source], store)
    with pytest.raises(ConflictError) as running:
        uninstall("firewall", store, lambda _: True)
    assert running.value.code == "package-in-use"
    with pytest.raises(ConflictError) as required:
        uninstall("counter", store, nobody)
    assert required.value.code == "package-required"
    assert names(store) == ["counter 1.1", "firewall 1.2.0"]


def test_uninstalling_what_is_not_there_offers_the_nearest(store, source):
    install(["counter==2"], [source], store)
    with pytest.raises(UserError) as caught:
        uninstall("conter", store, nobody)
    assert (caught.value.code, caught.value.hint) == ("package-not-installed", "did you mean counter?")
