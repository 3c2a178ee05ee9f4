"""Switch, router, switch, router, ... linked, beside one hand-written program that does the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from struct import Struct

from benchmarks.drive import XDP_REDIRECT, Cost, driver
from benchmarks.frames import MANY, udp_frames
from benchmarks.hosts import line
from benchmarks.measure import Benchmark, Measure, at_most
from benchmarks.site import site, toml_rows
from benchmarks.yardstick import Yardstick, loaded
from inkev.bpf.program import ProgramType

ROUTES = 256
STATIONS = 256
NEIGHBOURS = 256
TARGETS = IPv4Network("10.2.0.0/16")
_STATION, _PLACE = Struct("=6sH"), Struct("=IIBB6x")
_PREFIX, _ROUTE = Struct("=I4s"), Struct("=4sBB2x")
_NEXT, _NEIGHBOUR, _INTERFACE = Struct("=4sI"), Struct("=6sBxQ"), Struct("=6sH24x")
HEAD = """[graph]
name = "chain"
[hooks]
wan = { interface = "wan", type = "xdp" }
[devices]
lan = { interface = "lan" }
"""
IN, OUT = 0, 1
"""Numbers of the ports p1 and p2, by which packets enter and leave every stage."""


def mac(stage: int, side: int, number: int = 0) -> bytes:
    """Return the address of a stage's side; with a number, of one of the stations that only fill tables."""
    return bytes((2, 0x1C, stage, side)) + number.to_bytes(2, "big")


def text(address: bytes) -> str:
    """Return an address in colon notation."""
    return address.hex(":")


def way_in(stage: int) -> bytes:
    """Return the address that a frame must have to be taken by the router at this stage."""
    return mac(stage, IN)


def next_hop(stage: int) -> IPv4Address:
    """Return where the routes of the router at this stage lead."""
    return IPv4Address("10.200.0.1") + stage * 256


def stations(stage: int, stages: int) -> list[tuple[bytes, int]]:
    """Return (address, port) of a switch's stations: the router before it, the one behind it, and many others."""
    before = mac(stage - 1, OUT) if stage else mac(0, OUT)
    behind = way_in(stage + 1 if stage + 1 < stages else stage)
    return [(before, IN), (behind, OUT)] + [(mac(stage, IN, number), IN) for number in range(1, STATIONS - 1)]


def prefixes() -> Iterator[IPv4Network]:
    """Yield the routed prefixes: every /24 of the targets."""
    yield from TARGETS.subnets(new_prefix=24)


def neighbours(stage: int, stages: int) -> list[tuple[IPv4Address, bytes]]:
    """Return a router's neighbours at p2: the router behind the next switch, and many others."""
    behind = way_in(min(stage + 2, stages - 1))
    return [(next_hop(stage), behind)] + [(next_hop(stage) + number, mac(stage, OUT, number))
                                          for number in range(1, NEIGHBOURS)]


def graph(stages: int) -> str:
    """Return the chain as a graph file."""
    parts = [HEAD]
    parts += [_router(stage, stages) if stage % 2 else _switch(stage, stages) for stage in range(stages)]
    forth = " -> ".join(["wan", *(f"p1:n{stage}:p2" for stage in range(stages)), "lan"])
    return "\n".join([*parts, "[edges]", f'chains = ["{forth}"]', ""])


def _switch(stage: int, stages: int) -> str:
    rows = [{"mac": text(address), "port": f"p{port + 1}"} for address, port in stations(stage, stages)]
    return f'[nf.n{stage}]\npackage = "switch"\ntables.stations = {toml_rows(rows)}\n'


def _router(stage: int, stages: int) -> str:
    interfaces = [{"port": "p1", "mac": text(way_in(stage))}, {"port": "p2", "mac": text(mac(stage, OUT))}]
    routes = [{"prefix": str(prefix), "port": "p2", "via": str(next_hop(stage))} for prefix in prefixes()]
    known = [{"address": str(address), "port": "p2", "mac": text(station)}
             for address, station in neighbours(stage, stages)]
    return (f'[nf.n{stage}]\npackage = "router"\nconfig = {{ echo = false, errors = 0, resolve = false, '
            'ipv6 = false }\n'
            f"tables.interfaces = {toml_rows(interfaces)}\ntables.routes4 = {toml_rows(routes)}\n"
            f"tables.neighbours4 = {toml_rows(known)}\n")


def _fill(chain: Yardstick, stages: int) -> None:
    """Give the hand-written program the tables that the graph has."""
    chain.maps["devices"].update(bytes(4), (1).to_bytes(4, "little"))
    for stage in range(stages):
        if stage % 2:
            _fill_router(chain, stage, stages)
        else:
            chain.maps[f"stations_{stage}"].update_all((_STATION.pack(address, 0), _PLACE.pack(0, 0, port, 1))
                                                       for address, port in stations(stage, stages))


def _fill_router(chain: Yardstick, stage: int, stages: int) -> None:
    chain.maps[f"routes_{stage}"].update_all(
        (_PREFIX.pack(prefix.prefixlen, prefix.network_address.packed), _ROUTE.pack(next_hop(stage).packed, OUT, 0))
        for prefix in prefixes())
    chain.maps[f"neighbours_{stage}"].update_all((_NEXT.pack(address.packed, OUT), _NEIGHBOUR.pack(station, 1, 0))
                                                 for address, station in neighbours(stage, stages))
    for port, address in ((IN, way_in(stage)), (OUT, mac(stage, OUT))):
        chain.maps[f"interfaces_{stage}"].update(port.to_bytes(4, "little"), _INTERFACE.pack(address, 1500))


def frames() -> list[bytes]:
    """Return frames from the first switch's station to the first router, for targets behind every route."""
    return udp_frames(MANY, source_mac=mac(0, OUT), target_mac=way_in(1), targets=TARGETS.network_address)


@contextmanager
def _hand_written(stages: int) -> Iterator[Yardstick]:
    with loaded("chain.bpf.c", ProgramType.XDP, f"STAGES={stages}") as chain:
        _fill(chain, stages)
        yield chain


def compare(stages: int) -> list[Measure]:
    """Measure one length of chain."""
    sent = frames()
    with driver(ProgramType.XDP) as drive, _hand_written(stages) as chain:
        yardstick = drive.cost(chain.programs["chain"], sent, XDP_REDIRECT)
        with (line(checksum_offload=False) as hosts, site().stitched("chain", graph(stages), hosts.edge),
              site().segment("chain", "wan") as segment):
            linked = drive.cost(segment, sent, XDP_REDIRECT)
            programs = site().segments("chain")
    return rows(f"switch, router, ... x {stages} ({programs} program{'s' * (programs > 1)})", linked,
                "one hand-written program", yardstick)


def rows(measure: str, value: Cost, yardstick: str, other: Cost, times: float = 1.1) -> list[Measure]:
    """Return a comparison hot and over many packets."""
    return [at_most(f"{measure}, hot", value.hot_ns, "ns", times, yardstick, other.hot_ns),
            at_most(f"{measure}, {MANY:,} packets", value.varied_ns, "ns", times, yardstick, other.varied_ns)]


BENCHMARKS = (Benchmark("chain-8", lambda: compare(8)), Benchmark("chain-21", lambda: compare(21)))
