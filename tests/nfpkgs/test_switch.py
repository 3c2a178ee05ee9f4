"""switch between real hosts: floods, learning, moves and VLANs."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.nfpkgs.kit import Edge, Star, listening, note, reaches, send

pytestmark = pytest.mark.kernel

A_SET = {"ports": "ikvt*"}
THREE = {"one": "ikvt0", "two": "ikvt1", "three": "ikvt2"}
ON_THREE = '"one <-> p1:nf:p2 <-> two", "three <-> p3:nf"'
VLANS = 'config = { vlans = "filter" }\ntables.vlans = [{ vlan = 0, ports = 7 }, { vlan = 10, ports = 3 }]'


def assert_all_reach_each_other(star: Star) -> None:
    for left, right in permutations((1, 2, 3), 2):
        assert reaches(star.hosts[left - 1], f"10.9.0.{right}")
        assert reaches(star.hosts[left - 1], f"fd09::{right}")


def test_hosts_on_a_set_reach_each_other_and_are_known_by_their_interface(star: Star, edge: Edge) -> None:
    edge.stitch("switch", '"ports <-> p1:nf"', **A_SET)
    assert_all_reach_each_other(star)
    where = {row["mac"]: (row["port"], row["interface"]) for row in edge.rows("stations")}
    for number, host in enumerate(star.hosts):
        assert where[host.mac("eth0")] == ("p1", f"ikvt{number}")
    assert edge.status().metrics["known"] > edge.status().metrics["flooded"]


def test_hosts_on_ports_of_their_own_reach_each_other(tc_star: Star, tc_edge: Edge) -> None:
    tc_edge.stitch("switch", ON_THREE, **THREE)
    assert_all_reach_each_other(tc_star)
    where = {row["mac"]: row["port"] for row in tc_edge.rows("stations")}
    assert [where[host.mac("eth0")] for host in tc_star.hosts] == ["p1", "p2", "p3"]


@pytest.mark.parametrize("spread", ["set", "ports"])
def test_a_flood_reaches_the_others_once_and_never_its_sender(tc_star: Star, tc_edge: Edge, spread: str) -> None:
    if spread == "set":
        tc_edge.stitch("switch", '"ports <-> p1:nf"', **A_SET)
    else:
        tc_edge.stitch("switch", ON_THREE, **THREE)
    assert_a_flood_spreads(tc_star)


def test_a_flood_on_xdp_reaches_the_others_of_a_set(star: Star, edge: Edge) -> None:
    edge.stitch("switch", '"ports <-> p1:nf"', **A_SET)
    assert_a_flood_spreads(star)


def assert_a_flood_spreads(star: Star) -> None:
    sender, *others = star.hosts
    with listening(sender) as back, listening(others[0]) as first, listening(others[1]) as second:
        send(sender, note(b"who is there", sender.mac("eth0")))
        for host in others:  # what was sent before has arrived once this has
            assert reaches(sender, "10.9.0.2" if host is others[0] else "10.9.0.3")
    assert (len(first), len(second), len(back)) == (1, 1, 0)


def test_a_host_that_moves_is_found_at_its_new_port(star: Star, edge: Edge) -> None:
    edge.stitch("switch", '"ports <-> p1:nf"', **A_SET)
    stays, leaves, comes = star.hosts
    assert reaches(leaves, "10.9.0.1")
    mac, own = leaves.mac("eth0"), comes.mac("eth0")
    comes.ip(f"link set eth0 address {mac}")
    try:
        assert reaches(comes, "10.9.0.1")
        assert reaches(stays, "10.9.0.3")
    finally:
        comes.ip(f"link set eth0 address {own}")
    [row] = [row for row in edge.rows("stations") if row["mac"] == mac]
    assert row["interface"] == "ikvt2"
    assert edge.status().metrics["moved"] >= 1


def test_vlans_are_kept_apart(tc_star: Star, tc_edge: Edge) -> None:
    tc_edge.stitch("switch", ON_THREE, VLANS, **THREE)
    first, second, third = tc_star.hosts
    mac = first.mac("eth0")
    with listening(first) as to_first, listening(second) as to_second, listening(third) as to_third:
        send(first, note(b"to ten", mac, vlan=10), note(b"to twenty", mac, vlan=20), note(b"to all", mac))
        assert reaches(first, "10.9.0.2")  # what was sent before has arrived
        send(second, note(b"ten to one", second.mac("eth0"), mac, vlan=10))
        send(third, note(b"not in ten", third.mac("eth0"), mac, vlan=10))
        assert reaches(first, "10.9.0.3")
        assert reaches(first, "10.9.0.2")
    assert to_first == [b"ten to one"]
    assert to_second == [b"to ten", b"to all"]
    assert to_third == [b"to all"]
    assert tc_edge.status().drops["not-in-vlan"] == 2
    assert {(row["mac"], row["vlan"]) for row in tc_edge.rows("stations")} >= {(mac, 0), (mac, 10)}
