"""The lab that the other tests stand on."""

from __future__ import annotations

import socket

import pytest

from tests.lab import NETNS, Lab
from tests.stream import Stream

pytestmark = pytest.mark.kernel

WIRES = ("10.9.1.1/24", "10.9.1.2/24", "fd09:1::1/64", "fd09:1::2/64")


def test_two_wired_hosts_reach_each_other_and_leave_nothing():
    with Lab() as lab:
        client, server = lab.host("client"), lab.host("server")
        lab.wire(client, "eth0", server, "eth0", *WIRES)
        assert client.ping("10.9.1.2") == 3
        assert client.ping("fd09:1::2") == 3
        assert client.ping("10.9.1.9", count=1, timeout=0.1) == 0
        with server.echo(7), server.echo(8, "fd09:1::2", socket.SOCK_STREAM):
            assert client.ask("10.9.1.2") == b"inkev"
            assert client.connect("fd09:1::2", 8, b"x" * 500_000) == b"x" * 500_000
        names = [host.netns for host in lab.hosts.values()]
    assert not [name for name in names if (NETNS / name).exists()]


def test_a_stream_counts_what_is_lost():
    with Lab() as lab:
        client, server = lab.host("client"), lab.host("server")
        lab.wire(client, "eth0", server, "eth0", *WIRES)
        with Stream(client, server, "10.9.1.2", rate=20_000) as stream:
            client.ping("10.9.1.2")
        assert stream.report.sent > 0
        assert stream.report.lost == []
        with Stream(client, server, "10.9.1.2", rate=2_000) as stream:
            server.ip("link set eth0 down")
            server.ip("link set eth0 up")
            client.ping("10.9.1.2", count=1)
        assert stream.report.received == stream.report.sent - stream.report.lost_count


def test_offloads_and_drops_are_read_from_the_kernel():
    with Lab() as lab:
        client, server = lab.host("client"), lab.host("server")
        lab.wire(client, "eth0", server, "eth0", *WIRES, checksum_offload=False, gro=True)
        features = client.run("ethtool", "-k", "eth0").stdout
        assert "tx-checksumming: off" in features
        assert "generic-receive-offload: on" in features
        assert client.drops()["udp"] == 0
