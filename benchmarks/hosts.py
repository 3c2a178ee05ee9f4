"""Three hosts in a line, for as long as a benchmark lasts: source -- edge -- sink."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.lab import Host, Lab

PREFIX = "ikvb"
SINK_ADDRESS, SINK_NETWORK = "10.2.0.1", "10.2.0.0/16"
SOURCE_ADDRESS, SOURCE_NETWORK = "10.1.0.1", "10.1.0.0/16"
WAN_ADDRESS, LAN_ADDRESS = "10.1.255.254", "10.2.255.254"


@dataclass(frozen=True, slots=True)
class Port:
    """One end of a veth."""

    host: Host
    name: str
    mac: str
    ifindex: int

    def drops(self) -> int:
        """Return the packets that the device itself says it lost."""
        counters = self.host.links()[self.name]["stats64"]
        return sum(int(counters[side][what]) for side in ("rx", "tx") for what in ("dropped", "errors"))


@dataclass(frozen=True, slots=True)
class Line:
    """What is forwarded enters the edge at `wan` and leaves it at `lan`; `source` and `sink` are the far ends."""

    source: Port
    wan: Port
    lan: Port
    sink: Port

    @property
    def edge(self) -> Host:
        """The host in the middle."""
        return self.wan.host

    def drops(self) -> int:
        """Return what all four devices say they lost."""
        return sum(port.drops() for port in (self.source, self.wan, self.lan, self.sink))


def _port(host: Host, name: str) -> Port:
    return Port(host, name, host.mac(name), host.ifindex(name))


def _far_end(port: Port, gateway: str, gateway_mac: str, beyond: str) -> None:
    port.host.ip(f"neighbour replace {gateway} lladdr {gateway_mac} dev {port.name} nud permanent",
                 f"route add {beyond} via {gateway}")


@contextmanager
def line(*, checksum_offload: bool = True, gro: bool = True) -> Iterator[Line]:
    """Build the line: 10.1.0.0/16 behind wan, 10.2.0.0/16 behind lan; every neighbour is known from the start."""
    with Lab(PREFIX) as lab:
        source, edge, sink = lab.host("src"), lab.host("edge"), lab.host("dst")
        for host in (source, edge, sink):
            host.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
        lab.wire(source, "eth0", edge, "wan", f"{SOURCE_ADDRESS}/16", f"{WAN_ADDRESS}/16",
                 checksum_offload=checksum_offload, gro=gro)
        lab.wire(edge, "lan", sink, "eth0", f"{LAN_ADDRESS}/16", f"{SINK_ADDRESS}/16",
                 checksum_offload=checksum_offload, gro=gro)
        built = Line(_port(source, "eth0"), _port(edge, "wan"), _port(edge, "lan"), _port(sink, "eth0"))
        _far_end(built.source, WAN_ADDRESS, built.wan.mac, SINK_NETWORK)
        _far_end(built.sink, LAN_ADDRESS, built.lan.mac, SOURCE_NETWORK)
        edge.ip(f"neighbour replace {SOURCE_ADDRESS} lladdr {built.source.mac} dev wan nud permanent",
                f"neighbour replace {SINK_ADDRESS} lladdr {built.sink.mac} dev lan nud permanent",
                f"route replace {SOURCE_NETWORK} via {SOURCE_ADDRESS} dev wan",
                f"route replace {SINK_NETWORK} via {SINK_ADDRESS} dev lan")
        yield built
