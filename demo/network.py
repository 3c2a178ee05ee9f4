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
        for host in (client, edge, server):
            host.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
        lab.wire(client, "eth0", edge, "wan")
        lab.wire(edge, "lan", server, "eth0")
        edge.ip(f"link set wan address {WAN_MAC}", f"link set lan address {LAN_MAC}")
        for host, address, gateway in ((client, CLIENT, WAN), (server, SERVER, LAN)):
            host.ip(f"address add {address}/24 dev eth0", f"route add default via {gateway}")
        yield Network(client, edge, server)
