from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inkev.base.errors import Faults, KernelError
from inkev.base.paths import Root
from inkev.datapath.kernel import LinuxKernel
from inkev.host.host import Host
from inkev.host.kernel import RunningSegment, SegmentLoad
from inkev.toolchain.linker import BitcodeLinker
from tests.host.kit import Road, Shelf, make_host, packages
from tests.lab import Lab

pytestmark = pytest.mark.kernel

GATE = '[nf.gate]\npackage = "gate"\n'
TALLY = '[nf.tally]\npackage = "tally==1.0"\n'
CHAIN = '"wan -> in:tally:out -> outside:gate:inside <-> lan", "gate:outside -> wan"'


@pytest.fixture
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


def test_an_xdp_edge_that_would_lose_packets_is_refused_with_the_command_that_helps(
    host: Host, road: Road, file: Path
) -> None:
    road.client.offload("eth0", tx=True)
    road.server.offload("eth0", gro=False)
    file.write_text(road.graph('"wan <-> outside:gate:inside <-> lan"', GATE, kind="xdp"))
    with pytest.raises(Faults) as caught:
        host.stitch(file)
    assert {(fault.code, fault.hint) for fault in caught.value.faults} == {
        (
            "checksums-break",
            f"run `ip netns exec {road.client.netns} ethtool -K eth0 tx off`, or make the hook tc-ingress",
        ),
        ("cannot-transmit", f"run `ip netns exec {road.server.netns} ethtool -K eth0 gro on`"),
    }
    assert host.status() == []
    file.write_text(road.graph('"wan <-> outside:gate:inside <-> lan"', GATE, kind="tc-ingress"))
    host.stitch(file)


def test_an_edge_may_lead_to_a_device_that_nothing_is_attached_to(host: Host, road: Road, file: Path) -> None:
    text = road.graph('"wan -> in:tally:out -> out", "lan -> wan"', TALLY)
    file.write_text(text + '[devices]\nout = { interface = "lan" }\n')
    host.stitch(file)
    assert road.client.ping("10.9.0.2") == 3
    assert host.plan(file).plan.is_empty


def test_an_interface_that_joins_a_set_is_drift(host: Host, road: Road, file: Path) -> None:
    text = road.graph('"wan -> in:tally:out -> lan", "lan -> host"', TALLY)
    file.write_text(text.replace('wan = { interface = "wan"', 'wan = { interfaces = "w*"'))
    host.stitch(file)
    assert [hook.interface for hook in host.status("road")[0].hooks if hook.hook == "wan"] == ["wan"]
    assert host.plan(file).plan.is_empty
    road.edge.ip("link add wet type veth peer name dry", "link set wet up")
    assert host.plan(file).plan.changes == ("hook wan is not attached everywhere",)
    host.stitch(file)
    assert sorted(hook.interface for hook in host.status("road")[0].hooks if hook.hook == "wan") == ["wan", "wet"]
    assert host.plan(file).plan.is_empty


class Narrow:
    """The real kernel, but its verifier takes no program of two instances."""

    def __init__(self, root: Root) -> None:
        self._kernel = LinuxKernel(root)
        self.refused = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._kernel, name)

    def load(self, graph: str, generation: int, segment: SegmentLoad) -> RunningSegment:
        if len(segment.layouts) > 1:
            self.refused += 1
            raise KernelError("verifier-refused", "too complex")
        return self._kernel.load(graph, generation, segment)


def test_what_the_verifier_refuses_is_split_and_remembered(root: Root, road: Road, file: Path) -> None:
    def host_over(kernel: Narrow) -> Host:
        return Host(root, kernel, BitcodeLinker(root.cache / "objects"), Shelf(*packages()))  # type: ignore[arg-type]

    file.write_text(road.graph(CHAIN, GATE + TALLY))
    kernel = Narrow(root)
    host = host_over(kernel)
    done = host.stitch(file)
    assert "is split" in done.warnings[0]
    assert road.client.ping("10.9.0.2") == 3
    assert host.plan(file).plan.is_empty
    again = Narrow(root)
    assert host_over(again).stitch(file).plan.is_empty
    assert (kernel.refused > 0, again.refused) == (True, 0)
    host.unstitch("road")
