"""Rule sets and flows in the style of ClassBench's acl, fw and ipc seeds (Taylor and Turner, INFOCOM 2005), repeatable.

Each style is a table of shares: how often an address is a wildcard and how long its prefix is otherwise, which of the
paper's port classes (wildcard, high, low, arbitrary range, exact) each l4 port falls in, and the protocols. Addresses
nest: they come
from a few sites, each with subnets of its own. Nothing here touches the kernel.
"""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Shares = tuple[tuple[Any, float], ...]

TCP, UDP, ICMP = 6, 17, 1
PROTOCOL_NAMES = {TCP: "tcp", UDP: "udp", ICMP: "icmp", 47: "gre", 50: "esp"}


@dataclass(frozen=True, slots=True)
class Style:
    """Shares that make a rule set look like one of the seeds; each tuple is (value, weight) pairs."""

    source: Shares
    destination: Shares
    source_port: Shares
    destination_port: Shares
    protocol: Shares
    sites: int


STYLES: dict[str, Style] = {
    # Access lists: hosts and subnets on both sides, hardly any source port, exact destination ports.
    "acl": Style(
        source=((0, 3), (8, 1), (16, 6), (20, 6), (24, 30), (27, 9), (30, 10), (32, 35)),
        destination=((0, 1), (16, 4), (20, 5), (24, 25), (28, 15), (32, 50)),
        source_port=(("wildcard", 98), ("high", 1), ("exact", 1)),
        destination_port=(("wildcard", 30), ("exact", 56), ("range", 9), ("high", 4), ("low", 1)),
        protocol=((TCP, 78), (UDP, 13), (ICMP, 4), (None, 5)),
        sites=60,
    ),
    # Firewalls: many rules are open on one side, ranges on both l4 ports.
    "fw": Style(
        source=((0, 38), (8, 2), (12, 2), (16, 6), (24, 16), (28, 6), (32, 30)),
        destination=((0, 22), (16, 8), (20, 6), (24, 20), (28, 8), (32, 36)),
        source_port=(("wildcard", 62), ("high", 17), ("exact", 14), ("range", 7)),
        destination_port=(("wildcard", 22), ("exact", 52), ("range", 13), ("high", 11), ("low", 2)),
        protocol=((TCP, 55), (UDP, 28), (ICMP, 6), (47, 2), (50, 1), (None, 8)),
        sites=40,
    ),
    # IP chains: a mixture of both.
    "ipc": Style(
        source=((0, 9), (8, 2), (16, 8), (20, 5), (24, 28), (28, 10), (32, 38)),
        destination=((0, 8), (8, 1), (16, 9), (22, 6), (24, 26), (29, 10), (32, 40)),
        source_port=(("wildcard", 76), ("high", 5), ("exact", 15), ("range", 4)),
        destination_port=(("wildcard", 36), ("exact", 48), ("range", 8), ("high", 6), ("low", 2)),
        protocol=((TCP, 52), (UDP, 30), (ICMP, 8), (47, 1), (None, 9)),
        sites=50,
    ),
}

COMMON_PORTS = (20, 21, 22, 23, 25, 53, 80, 110, 123, 135, 139, 143, 161, 389, 443, 445, 514, 993, 1433, 1521, 1723,
                3128, 3306, 3389, 5060, 5432, 5900, 6379, 8080, 8443, 9092, 27017)


@dataclass(frozen=True, slots=True)
class Flow:
    """One 5-tuple; addresses are integers of 32 or 128 bits."""

    src: int
    dst: int
    sport: int
    dport: int
    protocol: int
    version: int = 4


class _Addresses:
    """Nested prefixes: sites, their subnets, and hosts in these, each picked with a skew."""

    def __init__(self, rng: random.Random, sites: int, version: int) -> None:
        self._rng = rng
        self._bits = 32 if version == 4 else 128
        # An IPv6 site is where an IPv4 /0 would be: all in 2001:db8::/32, so lengths shift by 32 and stretch.
        self._base = 0 if version == 4 else 0x20010DB8 << 96
        self._sites = [rng.randrange(1 << 24, 223 << 24) & 0xFFFF0000 for _ in range(sites)]
        self._subnets: dict[int, list[int]] = {
            site: [rng.randrange(256) for _ in range(rng.randint(2, 40))] for site in self._sites}

    def prefix(self, length: int) -> tuple[int, int]:
        """Return (address, length) of a prefix that is `length` bits long in IPv4's terms."""
        if not length:
            return 0, 0
        rng = self._rng
        site = self._sites[min(int(rng.paretovariate(0.7)) - 1, len(self._sites) - 1)] if rng.random() < 0.5 \
            else rng.choice(self._sites)
        address = site | rng.choice(self._subnets[site]) << 8 | rng.randrange(256)
        address &= ~((1 << (32 - length)) - 1)
        if self._bits == 32:
            return address, length
        return self._base | address << 64, 64 if length == 32 else 32 + length


def _pick(rng: random.Random, shares: Shares) -> Any:  # noqa: ANN401 - a share is of anything
    return rng.choices([value for value, _ in shares], [weight for _, weight in shares])[0]


def _ports(rng: random.Random, kind: str) -> tuple[int, int]:
    if kind == "wildcard":
        return 0, 65535
    if kind == "high":
        return 1024, 65535
    if kind == "low":
        return 0, 1023
    if kind == "range":
        low = rng.choice((rng.randrange(1024, 60000), rng.choice(COMMON_PORTS)))
        return low, min(65535, low + rng.choice((1, 2, 5, 10, 49, 99, 499, 999, 4999)))
    port = rng.choice(COMMON_PORTS) if rng.random() < 0.7 else rng.randrange(1, 65536)
    return port, port


def _format_ports(low: int, high: int) -> str | None:
    if (low, high) == (0, 65535):
        return None
    return str(low) if low == high else f"{low}-{high}"


def _row(rng: random.Random, style: Style, addresses: _Addresses, version: int) -> Row:
    source, source_length = addresses.prefix(_pick(rng, style.source))
    destination, destination_length = addresses.prefix(_pick(rng, style.destination))
    protocol = _pick(rng, style.protocol)
    row: Row = {}
    if source_length:
        row["src"] = f"{_address(source, version)}/{source_length}"
    if destination_length:
        row["dst"] = f"{_address(destination, version)}/{destination_length}"
    if protocol in (TCP, UDP):
        row["sport"] = _format_ports(*_ports(rng, _pick(rng, style.source_port)))
        row["dport"] = _format_ports(*_ports(rng, _pick(rng, style.destination_port)))
    if protocol is not None:
        row["protocol"] = "icmpv6" if (protocol, version) == (ICMP, 6) else PROTOCOL_NAMES[protocol]
    row["verdict"] = "drop" if rng.random() < 0.3 else "accept"
    return {name: value for name, value in row.items() if value is not None}


def _address(value: int, version: int) -> str:
    return str(ipaddress.IPv4Address(value) if version == 4 else ipaddress.IPv6Address(value))


def rules(style: str, count: int, seed: int = 1, version: int = 4) -> list[Row]:
    """Return `count` different rules of one style, highest priority first, as rows of the firewall's table.

    Rules open on both sides stand last, as in the seeds.
    """
    rng = random.Random(f"{style}/{seed}/{version}")
    shape = STYLES[style]
    addresses = _Addresses(rng, shape.sites, version)
    found: dict[tuple[Any, ...], Row] = {}
    while len(found) < count:
        row = _row(rng, shape, addresses, version)
        found.setdefault(tuple(row.get(name) for name in ("src", "dst", "sport", "dport", "protocol")), row)
    return sorted(found.values(), key=lambda row: "src" not in row and "dst" not in row)


def _inside(rng: random.Random, prefix: str | None, version: int) -> int:
    bits = 32 if version == 4 else 128
    if prefix is None:
        return rng.randrange(1 << 24, 223 << 24) if version == 4 else 0x20010DB8 << 96 | rng.getrandbits(96)
    network = ipaddress.ip_network(prefix)
    return int(network.network_address) + rng.getrandbits(bits - network.prefixlen) if network.prefixlen < bits \
        else int(network.network_address)


def _port_inside(rng: random.Random, ports: str | None) -> int:
    if ports is None:
        return rng.randrange(1024, 65536)
    low, _, high = ports.partition("-")
    return rng.randint(int(low), int(high or low))


def flows(rows: list[Row], count: int, seed: int = 1, version: int = 4) -> list[Flow]:
    """Return `count` flows, each inside a rule picked evenly (which a better rule may still win)."""
    rng = random.Random(f"flows/{seed}/{version}")
    numbers = {name: number for number, name in PROTOCOL_NAMES.items()} | {"icmpv6": 58}
    found = []
    for _ in range(count):
        row = rng.choice(rows)
        protocol = numbers[row["protocol"]] if "protocol" in row else rng.choice((TCP, UDP))
        has_ports = protocol in (TCP, UDP)
        found.append(Flow(
            src=_inside(rng, row.get("src"), version), dst=_inside(rng, row.get("dst"), version),
            sport=_port_inside(rng, row.get("sport")) if has_ports else 0,
            dport=_port_inside(rng, row.get("dport")) if has_ports else 0,
            protocol=protocol, version=version))
    return found
