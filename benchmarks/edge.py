"""The edge that several benchmarks stitch: firewall, switch, router, alone or in a row; and its policy for nft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from benchmarks.hosts import LAN_ADDRESS, SINK_ADDRESS, SINK_NETWORK, SOURCE_ADDRESS, SOURCE_NETWORK, WAN_ADDRESS, Line
from benchmarks.site import toml_rows

GRAPH = "edge"
RULES = 10
HookType = Literal["xdp", "tc-ingress"]


def _denied(number: int) -> dict[str, object]:
    return {"src": f"192.0.2.{number}/32", "protocol": "udp", "dport": 5000 + number, "verdict": "drop"}


def rules() -> list[dict[str, object]]:
    """Return the policy: some denials that do not match, then what does. The first match decides."""
    allowed: list[dict[str, object]] = [{"src": network, "protocol": protocol, "verdict": "accept"}
                                        for network in (SOURCE_NETWORK, SINK_NETWORK) for protocol in ("udp", "tcp")]
    return [_denied(number) for number in range(RULES - len(allowed))] + allowed


def nft_rules(*, stateful: bool) -> str:
    """Return the same policy for the kernel's own filter, as its users write it."""
    lines = ["ct state established,related accept"] if stateful else []
    for row in rules():
        proto, port = row["protocol"], row.get("dport")
        match = f"{proto} dport {port}" if port else f"meta l4proto {proto}"
        lines.append(f"ip saddr {row['src']} {match} {row['verdict']}")
    return "table ip filter {\n chain forward {\n  type filter hook forward priority 0; policy drop;\n  " + \
        "\n  ".join(lines) + "\n }\n}\n"


def firewall(*, stateful: bool) -> str:
    """Return the firewall instance."""
    return (f'[nf.fw]\npackage = "firewall"\nconfig = {{ stateful = {str(stateful).lower()} }}\n'
            f"tables.rules = {toml_rows(rules())}\n")


def switch(hosts: Line) -> str:
    """Return the switch instance: the source's station at p1, the edge's own address at p2."""
    rows = [{"mac": hosts.source.mac, "port": "p1"}, {"mac": hosts.wan.mac, "port": "p2"}]
    return f'[nf.sw]\npackage = "switch"\ntables.stations = {toml_rows(rows)}\n'


def router(hosts: Line) -> str:
    """Return the router instance: what the kernel would do with the edge's addresses and routes."""
    interfaces = [{"port": "p1", "mac": hosts.wan.mac, "ipv4": WAN_ADDRESS},
                  {"port": "p2", "mac": hosts.lan.mac, "ipv4": LAN_ADDRESS}]
    routes = [{"prefix": SOURCE_NETWORK, "port": "p1", "via": SOURCE_ADDRESS},
              {"prefix": SINK_NETWORK, "port": "p2", "via": SINK_ADDRESS},
              {"prefix": f"{WAN_ADDRESS}/32", "port": "p1", "kind": "local"},
              {"prefix": f"{LAN_ADDRESS}/32", "port": "p2", "kind": "local"}]
    known = [{"address": SOURCE_ADDRESS, "port": "p1", "mac": hosts.source.mac},
             {"address": SINK_ADDRESS, "port": "p2", "mac": hosts.sink.mac}]
    return (f'[nf.rt]\npackage = "router"\ntables.interfaces = {toml_rows(interfaces)}\n'
            f"tables.routes4 = {toml_rows(routes)}\ntables.neighbours4 = {toml_rows(known)}\n")


PORTS = {"fw": "outside:fw:inside", "sw": "p1:sw:p2", "rt": "p1:rt:p2"}


def graph(hosts: Line, instances: Sequence[str], *, hook: HookType = "xdp", stateful: bool = False) -> str:
    """Return a graph with these of `fw`, `sw`, `rt` in a row between wan and lan, both ways."""
    made = {"fw": lambda: firewall(stateful=stateful), "sw": lambda: switch(hosts), "rt": lambda: router(hosts)}
    chain = " <-> ".join(["wan", *(PORTS[name] for name in instances), "lan"])
    return (f'[graph]\nname = "{GRAPH}"\n[hooks]\nwan = {{ interface = "wan", type = "{hook}" }}\n'
            f'lan = {{ interface = "lan", type = "{hook}" }}\n' + "".join(made[name]() for name in instances) +
            f'[edges]\nchains = ["{chain}"]\n')
