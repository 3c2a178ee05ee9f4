from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inkev.base.errors import InkevError
from inkev.base.paths import Root
from inkev.host.host import Host
from tests.host.kit import Road, make_host
from tests.lab import Lab
from tests.stream import Stream

pytestmark = pytest.mark.kernel

GATE = '[nf.gate]\npackage = "gate"\n'
TALLY = '[nf.tally]\npackage = "tally==1.0"\n'
THROUGH = '"wan <-> outside:gate:inside <-> lan"'


@pytest.fixture(scope="module")
def road() -> Iterator[Road]:
    with Lab() as lab:
        yield Road(lab)


@pytest.fixture
def host(root: Root) -> Iterator[Host]:
    made = make_host(root)
    yield made
    for running in made.status():
        made.unstitch(running.name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "road.toml"


@pytest.mark.parametrize("kind", ["tc-ingress", "xdp"])
def test_a_stitched_graph_carries_packets(host: Host, road: Road, file: Path, kind: str) -> None:
    file.write_text(road.graph(THROUGH, GATE, kind=kind))
    assert road.client.ping("10.9.0.2", count=1, timeout=0.2) == 0
    done = host.stitch(file)
    assert done.applied
    assert road.client.ping("10.9.0.2") == 3
    assert host.status("road")[0].instances[0].packets >= 6


def test_stitching_again_does_nothing(host: Host, road: Road, file: Path) -> None:
    file.write_text(road.graph(THROUGH, GATE))
    host.stitch(file)
    again = host.stitch(file)
    assert again.plan.is_empty
    assert not again.applied


def test_insert_replace_and_remove_move_one_slot_and_keep_state(host: Host, road: Road, file: Path) -> None:
    file.write_text(road.graph(THROUGH, GATE, 'screening = "gate:inside -> lan"'))
    host.stitch(file)
    inserted = host.insert("road", "tally==1.0", "screening")
    assert inserted.plan.flips == 1
    assert road.client.ping("10.9.0.2", count=2) == 2
    assert host.table("road", "tally", "seen").rows() == [{"key": 0, "value": 2}]
    replaced = host.replace("road", "tally", "tally==1.1")
    assert replaced.plan.flips == 1
    assert road.client.ping("10.9.0.2", count=2) == 2
    assert host.table("road", "tally", "seen").rows() == [{"key": 0, "value": 4}]
    removed = host.remove("road", "tally")
    assert removed.plan.flips == 1
    assert road.client.ping("10.9.0.2", count=2) == 2
    assert "tally" not in host.status("road")[0].spec.graph.instances
    assert host.stitch(file).plan.is_empty


def test_what_was_inserted_is_linked_in_by_a_stitch_that_declares_it(host: Host, road: Road, file: Path) -> None:
    file.write_text(road.graph(THROUGH, GATE))
    host.stitch(file)
    host.insert("road", "tally==1.0", "wan", write=True)
    assert road.client.ping("10.9.0.2", count=2) == 2
    assert host.status("road")[0].spec.cuts == ("tally:out",)
    assert "wan -> in:tally:out -> outside:gate" in file.read_text()
    linked = host.stitch(file)
    assert linked.applied
    assert host.status("road")[0].spec.cuts == ()
    assert road.client.ping("10.9.0.2", count=2) == 2
    assert host.table("road", "tally", "seen").rows() == [{"key": 0, "value": 4}]
    assert host.stitch(file).plan.is_empty


def test_what_the_file_does_not_say_is_drift_and_is_removed(host: Host, road: Road, file: Path) -> None:
    file.write_text(road.graph(THROUGH, GATE))
    host.stitch(file)
    host.insert("road", "tally==1.0", "wan")
    drift = host.plan(file)
    assert "remove tally (tally 1.0)" in drift.plan.changes
    assert not drift.applied
    host.stitch(file)
    assert list(host.status("road")[0].spec.graph.instances) == ["gate"]
    assert road.client.ping("10.9.0.2", count=2) == 2


def test_a_table_in_the_file_belongs_to_the_file(host: Host, road: Road, file: Path) -> None:
    file.write_text(
        road.graph('"wan -> tally -> lan", "lan -> wan"', TALLY + "tables.seen = [{ key = 7, value = 1 }]\n")
    )
    host.stitch(file)
    seen = host.table("road", "tally", "seen")
    assert seen.rows() == [{"key": 7, "value": 1}]
    assert host.plan(file).plan.is_empty
    seen.add({"key": 3, "value": 9})
    assert host.plan(file).plan.changes == ("table tally.seen differs from the file",)
    host.stitch(file)
    assert seen.rows() == [{"key": 7, "value": 1}]
    assert host.plan(file).plan.is_empty


def test_a_table_not_in_the_file_is_state(host: Host, road: Road, file: Path) -> None:
    file.write_text(road.graph('"wan -> tally -> lan", "lan -> wan"', TALLY))
    host.stitch(file)
    host.table("road", "tally", "seen").add({"key": 3, "value": 9})
    file.write_text(
        road.graph('"wan -> tally -> outside:gate:inside -> lan", "gate:outside -> drop", "lan -> wan"', TALLY + GATE)
    )
    host.stitch(file)
    assert {"key": 3, "value": 9} in host.table("road", "tally", "seen").rows()


def test_configuration_is_changed_while_packets_flow(host: Host, road: Road, file: Path) -> None:
    file.write_text(road.graph(THROUGH, GATE))
    host.stitch(file)
    file.write_text(road.graph(THROUGH, GATE + "config.closed = true\n"))
    assert "configure gate" in host.stitch(file).plan.changes
    assert road.client.ping("10.9.0.2", count=1, timeout=0.2) == 0
    assert host.status("road")[0].instances[0].drops["policy"] >= 1


def state_of(host: Host) -> object:
    return host.status("road")[0]


def refused(host: Host, road: Road, code: str, attempt) -> None:
    before = state_of(host)
    with pytest.raises(InkevError) as caught:
        attempt()
    assert caught.value.code == code
    assert caught.value.hint or code == "verifier-refused"
    after = state_of(host)
    assert (after.spec, after.hooks, after.leftovers) == (before.spec, before.hooks, ())
    assert [s.program_id for s in after.segments] == [s.program_id for s in before.segments]
    assert road.client.ping("10.9.0.2", count=1) == 1


def test_what_is_refused_leaves_the_kernel_as_it_was(host: Host, road: Road, file: Path) -> None:
    file.write_text(road.graph(THROUGH, GATE))
    host.stitch(file)
    host.insert("road", "tally==1.0", "wan")

    def stitch(text: str) -> None:
        file.with_name("other.toml").write_text(text)
        host.stitch(file.with_name("other.toml"))

    refused(host, road, "package-not-installed", lambda: host.insert("road", "nothing", "wan"))
    refused(host, road, "no-such-point", lambda: host.insert("road", "tally", "wane"))
    refused(host, road, "no-such-instance", lambda: host.remove("road", "tallie"))
    refused(host, road, "map-layout-changed", lambda: host.replace("road", "tally", "tally==2.0"))
    refused(host, road, "verifier-refused", lambda: host.insert("road", "stuck", "lan"))
    refused(
        host, road, "no-such-interface", lambda: stitch(road.graph(THROUGH, GATE).replace('"lan", type', '"lam", type'))
    )
    refused(
        host,
        road,
        "unwired-port",
        lambda: stitch(road.graph('"wan -> outside:gate:inside -> lan", "lan -> wan"', GATE)),
    )


def test_state_may_be_discarded_on_purpose(host: Host, road: Road, file: Path) -> None:
    file.write_text(road.graph('"wan -> tally -> lan", "lan -> wan"', TALLY))
    host.stitch(file)
    assert road.client.ping("10.9.0.2") == 3
    host.replace("road", "tally", "tally==2.0", discard_state=True)
    assert road.client.ping("10.9.0.2", count=1) == 1
    rows = host.table("road", "tally", "seen").rows()
    assert rows[0]["value"] < 5


def test_unstitching_leaves_nothing(host: Host, road: Road, file: Path, root: Root) -> None:
    file.write_text(road.graph(THROUGH, GATE))
    host.stitch(file)
    host.unstitch("road")
    assert host.status() == []
    assert list(root.bpffs.iterdir()) == []
    assert road.client.ping("10.9.0.2", count=1, timeout=0.2) == 0


def test_somebody_elses_program_is_never_displaced(
    host: Host, road: Road, file: Path, root: Root, tmp_path: Path
) -> None:
    file.write_text(road.graph(THROUGH, GATE, kind="xdp"))
    host.stitch(file)
    other = Root(tmp_path / "other", root.bpffs.with_name(root.bpffs.name + "b"))
    second = make_host(other)
    other_file = tmp_path / "second.toml"
    other_file.write_text(file.read_text().replace('"road"', '"second"'))
    try:
        with pytest.raises(InkevError) as caught:
            second.stitch(other_file)
        assert caught.value.code == "hook-taken"
        assert second.status() == []
        assert road.client.ping("10.9.0.2", count=1) == 1
    finally:
        if other.bpffs.exists():
            assert list(other.bpffs.iterdir()) == []
            other.bpffs.rmdir()


@pytest.mark.parametrize("kind", ["tc-ingress", "xdp"])
def test_no_packet_is_lost_while_functions_come_and_go(host: Host, road: Road, file: Path, kind: str) -> None:
    file.write_text(road.graph(THROUGH, GATE, 'screening = "gate:inside -> lan"', kind=kind))
    host.stitch(file)
    road.client.ping("10.9.0.2", count=1)
    with Stream(road.client, road.server, "10.9.0.2", rate=5_000) as stream:
        for point in ("wan", "screening", "gate:outside") * 3:
            host.insert("road", "tally==1.0", point)
            host.replace("road", "tally", "tally==1.1")
            host.remove("road", "tally")
        host.insert("road", "tally==1.0", "wan", write=True)
        host.stitch(file)
    assert stream.report.sent > 500
    assert stream.report.lost_count == 0


def test_an_inserted_function_is_entered_by_its_own_port_and_goes_on_by_the_old_one(
    host: Host, road: Road, file: Path
) -> None:
    chains = '"wan -> in:tally:out -> inside:gate:outside -> lan", "gate:inside -> drop", "lan -> wan"'
    file.write_text(road.graph(chains, GATE + TALLY, 'behind = "tally -> gate"'))
    host.stitch(file)
    assert road.client.ping("10.9.0.2", count=2) == 2
    host.insert("road", "tally==1.0", "behind", name="second")
    assert road.client.ping("10.9.0.2", count=2) == 2
    host.remove("road", "tally")
    assert road.client.ping("10.9.0.2", count=2) == 2
    assert host.table("road", "second", "seen").rows() == [{"key": 0, "value": 4}]
