"""firewall between real hosts: rules, connections, what is related to them, and how they end."""

from __future__ import annotations

import select
import socket
import time

import pytest

from tests.lab import Host as Machine
from tests.nfpkgs.kit import Edge, IcmpError, Star, is_silent, provoke, reaches

pytestmark = pytest.mark.kernel

HOOKS = {"wan": "ikvt0", "lan": "ikvt1"}
CHAINS = '"wan <-> outside:nf:inside <-> lan"'
RULES = """
tables.rules = [
  { from = "outside", protocol = "udp", dport = 54, verdict = "drop" },
  { from = "outside", protocol = "udp", dport = "50-59", verdict = "accept" },
  { from = "outside", protocol = "tcp", dport = 80, verdict = "accept" },
  { from = "inside", verdict = "accept" },
]
"""
TRACKING = 'config = { udp = "2s", pickup = false }'
OUTSIDE, INSIDE = ("10.9.0.1", "fd09::1"), ("10.9.0.2", "fd09::2")
FORGOTTEN_MS = 4_500
"""The timeout of 2 s, and what it may be late: it is exact to about two seconds."""


@pytest.fixture
def outside(star: Star) -> Machine:
    return star.hosts[0]


@pytest.fixture
def inside(star: Star) -> Machine:
    return star.hosts[1]


@pytest.fixture
def wall(edge: Edge) -> Edge:
    """An edge that tracks connections: everything from the inside, little from the outside."""
    edge.stitch("firewall", CHAINS, TRACKING + RULES, **HOOKS)
    return edge


def anywhere(address: str) -> str:
    return "::" if ":" in address else "0.0.0.0"  # noqa: S104 - a namespace of our own


def test_rules_decide_and_answers_pass(wall: Edge, outside: Machine, inside: Machine) -> None:
    for out, target in zip(OUTSIDE, INSIDE, strict=True):
        assert reaches(inside, out)
        assert is_silent(outside, target)
        tcp = (anywhere(target), socket.SOCK_STREAM)
        with inside.echo(80, *tcp), inside.echo(81, *tcp):
            assert outside.connect(target, 80, b"let in" * 1000) == b"let in" * 1000
            assert outside.connect(target, 81, b"kept out", timeout=0.3) is None
        with inside.echo(53, anywhere(target)), inside.echo(54, anywhere(target)):
            assert outside.ask(target, 53) == b"inkev"
            assert outside.ask(target, 54, timeout=0.3) is None
        with outside.echo(81, anywhere(out), socket.SOCK_STREAM), outside.echo(1000, anywhere(out)):
            assert inside.connect(out, 81, b"out" * 1000) == b"out" * 1000
            assert inside.ask(out, 1000) == b"inkev"
    status = wall.status()
    assert status.drops["blocked-by-rule"] == 2
    assert status.drops["blocked-by-default"] >= 6
    assert status.metrics["established"] > 0
    counted = {row["dport"]: row["packets"] for row in wall.rows("rules")}
    assert (counted["54"], counted["50-59"], counted["80"]) == (2, 2, 2)


def test_an_error_about_a_connection_passes_and_nobody_elses(wall: Edge, outside: Machine, inside: Machine) -> None:
    assert provoke(inside, OUTSIDE[0]) == IcmpError(3, 3, 0, OUTSIDE[0])
    assert provoke(inside, OUTSIDE[1]) == IcmpError(1, 4, 0, OUTSIDE[1])
    assert wall.status().metrics["related"] >= 2


def test_what_was_silent_for_too_long_is_forgotten(tc_star: Star, tc_edge: Edge) -> None:
    tc_edge.stitch("firewall", CHAINS, TRACKING + RULES, **HOOKS)
    outside, inside, _ = tc_star.hosts
    with outside.open_socket() as far, inside.open_socket() as near, inside.open_socket() as soon:
        far.bind((OUTSIDE[0], 2000))
        soon.sendto(b"answer at once", (OUTSIDE[0], 2000))
        far.sendto(b"here", far.recvfrom(100)[1])
        assert soon.recv(100) == b"here"
        near.sendto(b"answer later", (OUTSIDE[0], 2000))
        sender = far.recvfrom(100)[1]
        assert select.select([near], [], [], FORGOTTEN_MS / 1000)[0] == []
        far.sendto(b"too late", sender)
        assert select.select([near], [], [], 0.2)[0] == []


def test_connections_are_listed_and_end_with_their_row(wall: Edge, outside: Machine, inside: Machine) -> None:
    with outside.open_socket(kind=socket.SOCK_STREAM) as server, inside.open_socket(kind=socket.SOCK_STREAM) as client:
        server.bind((OUTSIDE[0], 3000))
        server.listen()
        client.connect((OUTSIDE[0], 3000))
        stream = server.accept()[0]
        client.send(b"one")
        assert stream.recv(100) == b"one"
        port = client.getsockname()[1]
        [row] = [row for row in wall.rows("connections") if {row["src_port"], row["dst_port"]} == {3000, port}]
        assert (row["protocol"], row["state"]) == ("tcp", "established")
        assert {row["src"], row["dst"]} == {OUTSIDE[0], INSIDE[0]}
        wall.host.table("edge", "nf", "connections").remove(row)
        assert ends(client, stream)
        stream.close()
    assert wall.status().drops["invalid-state"] >= 1


def ends(client: socket.socket, stream: socket.socket) -> bool:
    """Return whether a connection falls silent within two seconds; it is believed for a moment after its row went."""
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        client.send(b"more")
        if not select.select([stream], [], [], 0.15)[0]:
            return True
        stream.recv(100)
        select.select([client], [], [], 0.05)  # nothing comes this way: a pause
    return False


def test_without_state_each_direction_needs_its_rule(edge: Edge, outside: Machine, inside: Machine) -> None:
    edge.stitch("firewall", CHAINS, "config = { stateful = false }" + RULES, **HOOKS)
    assert is_silent(inside, OUTSIDE[0])
    rules = edge.host.table("edge", "nf", "rules")
    rules.add({"from": "outside", "protocol": "icmp", "verdict": "accept"})
    rules.add({"from": "outside", "protocol": "icmpv6", "verdict": "accept"})
    assert reaches(inside, OUTSIDE[0])
    assert reaches(inside, OUTSIDE[1])
    assert reaches(outside, INSIDE[0])
    assert edge.rows("connections") == []
