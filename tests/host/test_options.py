"""Options that name interfaces, and rows that are wrong: found before anything runs, with their places."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from inkev.base.errors import Faults
from inkev.base.paths import Root
from inkev.host.host import Host
from tests.host.kit import ONE_WAY, TALLY, TALLY_TABLE, Road, Shelf, Shelved, build, make_host
from tests.lab import Lab

pytestmark = pytest.mark.kernel

OUT = """
#include <inkev/nf.h>
struct leave_config { __u32 out; __u16 unused; };
IKV_CONFIG(struct leave_config, config);
IKV_NF int leave(struct ikv_packet *pkt)
{
	ikv_add(pkt, 0, config.out);
	return ikv_forward(pkt, 1);
}
"""
LEAVE = """
[config.out]
type = "interface"
default = "lan"
[config.unused]
type = "u16"
default = 0
"""


@functools.cache
def shelf() -> Shelf:
    def tally() -> Shelved:
        return build("tally", "1.0", ONE_WAY, TALLY.format(value="__u64", weight=1), TALLY_TABLE.format(value="u64"))

    return Shelf(build("leave", "1.0", ONE_WAY, OUT, LEAVE), tally())


@pytest.fixture(scope="module")
def road() -> Iterator[Road]:
    with Lab() as lab:
        yield Road(lab)


@pytest.fixture
def host(root: Root) -> Iterator[Host]:
    made = make_host(root, shelf())
    yield made
    for running in made.status():
        made.unstitch(running.name)


CHAIN = '"wan -> a -> b -> host", "lan -> drop"'


def test_an_interface_is_its_index_in_the_namespace_of_the_graph(host: Host, road: Road, tmp_path: Path) -> None:
    file = tmp_path / "road.toml"
    nf = '[nf.a]\npackage = "leave"\n[nf.b]\npackage = "leave"\nconfig = { out = "wan" }\n'
    file.write_text(road.graph(CHAIN, nf))
    host.stitch(file)
    road.client.ping("10.9.0.2", count=1, timeout=0.1)
    (status,) = host.status("road")
    for instance, device in zip(status.instances, ("lan", "wan"), strict=True):
        assert instance.packets > 0
        assert instance.metrics["seen"] == instance.packets * road.edge.ifindex(device)
    assert host.stitch(file).plan.is_empty


def test_every_wrong_option_and_row_is_told_before_anything_runs(host: Host, road: Road, tmp_path: Path) -> None:
    file = tmp_path / "road.toml"
    nf = """
[nf.a]
package = "leave"
config = { out = "ikvt-none", unused = 70000 }
[nf.b]
package = "tally"
tables.seen = [{ key = 1, value = 2 }, { key = "many", value = -1 }]
"""
    file.write_text(road.graph(CHAIN, nf))
    with pytest.raises(Faults) as caught:
        host.stitch(file)
    assert [(fault.code, fault.where) for fault in caught.value.faults] == [
        ("no-such-interface", "nf.a.config.out"),
        ("bad-value", "nf.a.config.unused"),
        ("bad-value", "nf.b.tables.seen[1].key"),
        ("bad-value", "nf.b.tables.seen[1].value"),
    ]
    assert host.status() == []
