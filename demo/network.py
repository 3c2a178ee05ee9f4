"""The demo's hosts: client -- edge -- server. The edge routes nothing itself: what crosses it, inkev carries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import NETNS, Host, Lab, remove_namespace

PREFIX = "ikvd"
CLIENT, SERVER = "10.1.0.2", "10.2.0.2"
WAN, LAN = "10.1.0.1", "10.2.0.1"
WAN_MAC, LAN_MAC = "02:0e:00:00:01:01", "02:0e:00:00:02:01"
CLIENT_MAC, SERVER_MAC = "02:0e:00:00:01:02", "02:0e:00:00:02:02"


@dataclass(frozen=True, slots=True)
class Network:
    """Three hosts; `edge` has the interfaces `wan` and `lan`."""

    client: Host
    edge: Host
    server: Host


@contextmanager
def network() -> Iterator[Network]:
    """Build the hosts for the length of the block; what a killed demo left is removed first."""
    for path in NETNS.glob(f"{PREFIX}-*"):
        remove_namespace(Path(path))
    with Lab(PREFIX) as lab:
        client, edge, server = lab.host("client"), lab.host("edge"), lab.host("server")
        lab.wire(client, "eth0", edge, "wan", f"{CLIENT}/24", f"{WAN}/24")
        lab.wire(edge, "lan", server, "eth0", f"{LAN}/24", f"{SERVER}/24")
        client.ip(f"link set eth0 address {CLIENT_MAC}", f"route add default via {WAN}")
        server.ip(f"link set eth0 address {SERVER_MAC}", f"route add default via {LAN}")
        edge.ip(f"link set wan address {WAN_MAC}", f"link set lan address {LAN_MAC}")
        yield Network(client, edge, server)
