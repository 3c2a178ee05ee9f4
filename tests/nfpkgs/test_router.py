"""router between real hosts: neighbours, errors, segments, and the host's own routes."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.lab import Host as Machine
from tests.lab import Lab
from tests.nfpkgs.kit import Edge, IcmpError, Star, provoke, reaches

pytestmark = pytest.mark.kernel

HOOKS = {"left": "ikvt0", "right": "ikvt1"}
CHAINS = '"left <-> p1:nf:p2 <-> right"'
OWN = """
config = {{ {config} }}
tables.interfaces = [
  {{ port = "p1", mac = "02:00:00:00:01:01", ipv4 = "10.1.0.1", ipv6 = "fd01::1" }},
  {{ port = "p2", mac = "02:00:00:00:02:01", mtu = {mtu}, ipv4 = "10.2.0.1", ipv6 = "fd02::1" }},
]
tables.routes4 = [
  {{ prefix = "10.1.0.0/24", port = "p1" }}, {{ prefix = "10.1.0.1", port = "p1", kind = "local" }},
  {{ prefix = "10.2.0.0/24", port = "p2" }}, {{ prefix = "10.2.0.1", port = "p2", kind = "local" }},
  {{ prefix = "10.66.0.0/16", kind = "prohibit" }},
]
tables.routes6 = [
  {{ prefix = "fd01::/64", port = "p1" }}, {{ prefix = "fd01::1", port = "p1", kind = "local" }},
  {{ prefix = "fd02::/64", port = "p2" }}, {{ prefix = "fd02::1", port = "p2", kind = "local" }},
  {{ prefix = "fd66::/64", kind = "prohibit" }},
]
"""
HOST = """
config = { host = true }
tables.links = [{ interface = "%s", port = "p1" }, { interface = "%s", port = "p2" }]
"""
BULK = 4 << 20


def stitch_own(edge: Edge, mtu: int = 1500, config: str = "") -> None:
    edge.stitch("router", CHAINS, OWN.format(mtu=mtu, config=config), **HOOKS)


def test_two_nets_reach_each_other_through_neighbours_that_the_router_asks_for(star: Star, edge: Edge) -> None:
    stitch_own(edge)
    left, right, _ = star.hosts
    for host, four, six in ((left, "10.2.0.2", "fd02::2"), (right, "10.1.0.2", "fd01::2")):
        assert reaches(host, four)
        assert reaches(host, six)
    for table, address in (("neighbours4", "10.{}.0.2"), ("neighbours6", "fd0{}::2")):
        known = {row["address"]: (row["port"], row["mac"]) for row in edge.rows(table)}
        assert known[address.format(1)] == ("p1", left.mac("eth0"))
        assert known[address.format(2)] == ("p2", right.mac("eth0"))
    assert edge.status().metrics["asked"] >= 2


def test_the_router_answers_for_its_own_addresses(star: Star, edge: Edge) -> None:
    stitch_own(edge)
    for address in ("10.1.0.1", "10.2.0.1", "fd01::1", "fd02::1"):
        assert reaches(star.hosts[0], address), address
    assert star.hosts[0].ping("10.1.0.1", count=2, size=1400) == 2
    assert star.hosts[0].ping("fd01::1", count=2, size=1400) == 2


ERRORS = [
    ("10.2.0.2", {"ttl": 1}, IcmpError(11, 0, 0, "10.1.0.1")),
    ("fd02::2", {"ttl": 1}, IcmpError(3, 0, 0, "fd01::1")),
    ("10.77.0.2", {}, IcmpError(3, 0, 0, "10.1.0.1")),
    ("fd77::2", {}, IcmpError(1, 0, 0, "fd01::1")),
    ("10.66.0.2", {}, IcmpError(3, 13, 0, "10.1.0.1")),
    ("fd66::2", {}, IcmpError(1, 1, 0, "fd01::1")),
    ("10.2.0.2", {"size": 1400}, IcmpError(3, 4, 1300, "10.1.0.1")),
    ("fd02::2", {"size": 1400}, IcmpError(2, 0, 1300, "fd01::1")),
]


def test_errors_reach_the_sender(star: Star, edge: Edge) -> None:
    stitch_own(edge, mtu=1300)
    assert reaches(star.hosts[0], "10.2.0.2")
    assert reaches(star.hosts[0], "fd02::2")
    assert {target: provoke(star.hosts[0], target, **how) for target, how, _ in ERRORS[:6]} == {
        target: expected for target, _, expected in ERRORS[:6]
    }
    for target, how, expected in ERRORS[6:]:
        assert provoke(star.hosts[0], target, **how) == expected


def test_an_error_about_an_unfinished_checksum_is_sound_where_the_edge_finishes_checksums(
    tc_star: Star, tc_edge: Edge
) -> None:
    stitch_own(tc_edge, mtu=1300)
    left, right, _ = tc_star.hosts
    tc_star.edge.offload("ikvt0", tx=False)
    try:
        for target, how, expected in ERRORS[:6]:
            assert provoke(left, target, **how) == expected
        for target, how, expected in ERRORS[6:]:
            assert reaches(left, target)
            assert provoke(left, target, **how) == expected
            left.run("ip", "route", "flush", "cache")
            assert_bulk(left, right, target)
    finally:
        tc_star.edge.offload("ikvt0", tx=True)


@pytest.mark.parametrize("mtu", [1500, 1300])
@pytest.mark.parametrize("target", ["10.2.0.2", "fd02::2"])
def test_a_bulk_transfer_arrives_intact(star: Star, edge: Edge, target: str, mtu: int) -> None:
    stitch_own(edge, mtu)
    assert reaches(star.hosts[0], target)
    assert_bulk(star.hosts[0], star.hosts[1], target)


def assert_bulk(sender: Machine, receiver: Machine, target: str) -> None:
    data = os.urandom(BULK)
    with receiver.echo(9, "::" if ":" in target else "0.0.0.0", socket.SOCK_STREAM):  # noqa: S104
        back = sender.connect(target, 9, data, timeout=10.0)
    assert back is not None
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


@pytest.fixture(params=["tc-ingress", "xdp"])
def routed(request: pytest.FixtureRequest) -> Iterator[Star]:
    """A star whose edge is a Linux router itself."""
    with Lab() as lab:
        made = Star(lab, request.param, ports=2)
        made.edge.forward()
        for number in (0, 1):
            made.edge.ip(f"addr add 10.{number + 1}.0.1/24 dev ikvt{number}",
                         f"addr add fd0{number + 1}::1/64 dev ikvt{number} nodad")  # fmt: skip
        yield made


def test_the_hosts_own_routes_are_used_once_its_stack_knows_the_neighbour(
    routed: Star, place: Callable[[Machine, str], Edge]
) -> None:
    edge = place(routed.edge, routed.hook)
    edge.stitch("router", CHAINS, HOST % ("ikvt0", "ikvt1"), **HOOKS)
    left, right = routed.hosts
    for four, six, host in (("10.2.0.2", "fd02::2", left), ("10.1.0.2", "fd01::2", right)):
        assert reaches(host, four)
        assert reaches(host, six)
    before = edge.status().metrics
    assert left.ping("10.2.0.2", count=5) + left.ping("fd02::2", count=5) == 10
    after = edge.status().metrics
    assert before["via-host"] > 0
    assert after["forwarded"] - before["forwarded"] >= 20
    assert sorted((row["interface"], row["port"]) for row in edge.rows("links")) == [("ikvt0", "p1"), ("ikvt1", "p2")]
    assert_bulk(left, right, "10.2.0.2")
    assert_bulk(left, right, "fd02::2")


def test_what_needs_thought_is_left_to_the_host(routed: Star, place: Callable[[Machine, str], Edge]) -> None:
    edge = place(routed.edge, routed.hook)
    edge.stitch("router", CHAINS, HOST % ("ikvt0", "ikvt1"), **HOOKS)
    left, _ = routed.hosts
    assert reaches(left, "10.1.0.1")
    assert reaches(left, "fd01::1")
    assert provoke(left, "10.2.0.2", ttl=1) == IcmpError(11, 0, 0, "10.1.0.1")
    assert provoke(left, "fd02::2", ttl=1) == IcmpError(3, 0, 0, "fd01::1")
    assert provoke(left, "10.77.0.2") == IcmpError(3, 0, 0, "10.1.0.1")
