"""Small packages built for the tests, a shelf to find them on, and a host between two others."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from inkev.base.paths import Root
from inkev.datapath.kernel import LinuxKernel
from inkev.host.host import Host
from inkev.package.manifest import Manifest
from inkev.package.reading import read_package
from inkev.toolchain.build import build_folder
from inkev.toolchain.linker import BitcodeLinker
from tests.lab import Host as Machine
from tests.lab import Lab

MANIFEST = """
schema = 1
[package]
name = "{name}"
version = "{version}"
summary = "For tests"
license = "GPL-2.0-only"
[programs.main]
file = "main.c"
entry = "{name}"
hooks = ["xdp", "tc"]
[ports]
{ports}
[metrics.seen]
help = "packets"
"""
ONE_WAY = 'in = { direction = "in" }\nout = { direction = "out" }'
BOTH_WAYS = "outside = { }\ninside = { }"

TALLY = """
#include <inkev/nf.h>
struct {{ __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, {value}); }}
	tally_seen SEC(".maps");
IKV_NF int tally(struct ikv_packet *pkt)
{{
	__u32 key = 0;
	{value} one = 1, *n = bpf_map_lookup_elem(&tally_seen, &key);

	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&tally_seen, &key, &one, BPF_ANY);
	ikv_add(pkt, 0, {weight});
	return ikv_forward(pkt, 1);
}}
"""
TALLY_TABLE = """
[tables.seen]
map = "tally_seen"
columns = {{ key = {{ type = "u32", field = "key" }}, value = {{ type = "{value}", field = "value" }} }}
[permissions]
packet = "read"
"""
GATE = """
#include <inkev/nf.h>
struct gate_config { __u8 closed; };
IKV_CONFIG(struct gate_config, config);
IKV_NF int gate(struct ikv_packet *pkt)
{
	ikv_count(pkt, 0);
	if (config.closed)
		return ikv_drop(pkt, IKV_DROP_POLICY);
	return ikv_forward(pkt, !pkt->in_port);
}
"""
GATE_CONFIG = """
[config.closed]
type = "bool"
default = false
"""
STUCK = """
#include <inkev/nf.h>
IKV_NF int stuck(struct ikv_packet *pkt)
{
	const __u8 *data = pkt->data;

	return ikv_forward(pkt, data[1000] & 1 ? 1 : 1 + data[2000]);
}
"""


@dataclass(frozen=True)
class Shelved:
    """A built package."""

    folder: Path
    manifest: Manifest
    digest: str
    held: tempfile.TemporaryDirectory[str]
    """Goes with the package."""


class Shelf:
    """The store as graphs see it."""

    def __init__(self, *packages: Shelved) -> None:
        self.packages = list(packages)

    def installed(self) -> list[Shelved]:
        return self.packages

    def find(self, name: str, version: str) -> Shelved | None:
        about = [(p.manifest.package.name, p.manifest.package.version) for p in self.packages]
        return self.packages[about.index((name, version))] if (name, version) in about else None


def build(name: str, version: str, ports: str, source: str, more: str = "") -> Shelved:
    held = tempfile.TemporaryDirectory(prefix="ikvt-")
    folder = Path(held.name)
    text = MANIFEST.format(name=name, version=version, ports=ports) + more
    (folder / "nf.toml").write_text(text)
    (folder / "main.c").write_text(source)
    build_folder(folder)
    return Shelved(folder, read_package(folder)[0], hashlib.sha256((text + source).encode()).hexdigest(), held)


@functools.cache
def packages() -> tuple[Shelved, ...]:
    """Return `tally` 1.0, 1.1 (the same maps) and 2.0 (others), `gate` 1.0, and `stuck`, which no verifier takes."""

    def tally(version: str, bits: int, weight: int) -> Shelved:
        return build(
            "tally",
            version,
            ONE_WAY,
            TALLY.format(value=f"__u{bits}", weight=weight),
            TALLY_TABLE.format(value=f"u{bits}"),
        )

    return (
        tally("1.0", 64, 1),
        tally("1.1", 64, 2),
        tally("2.0", 32, 1),
        build("gate", "1.0", BOTH_WAYS, GATE, GATE_CONFIG),
        build("stuck", "1.0", ONE_WAY, STUCK),
    )


def make_host(root: Root, shelf: Shelf | None = None) -> Host:
    return Host(root, LinuxKernel(root), BitcodeLinker(root.cache / "objects"), shelf or Shelf(*packages()))


class Road:
    """client -- edge -- server: the edge forwards nothing by itself; frames go across where a graph says so."""

    def __init__(self, lab: Lab) -> None:
        self.client: Machine = lab.host("client")
        self.edge: Machine = lab.host("edge")
        self.server: Machine = lab.host("server")
        lab.wire(self.client, "eth0", self.edge, "wan", "10.9.0.1/24", "10.9.1.1/24", checksum_offload=False, gro=True)
        lab.wire(self.edge, "lan", self.server, "eth0", "10.9.2.1/24", "10.9.0.2/24", checksum_offload=False, gro=True)

    def graph(self, chains: str, nf: str = "", points: str = "", kind: str = "tc-ingress") -> str:
        return f"""
[graph]
name = "road"
[hooks]
wan = {{ interface = "wan", type = "{kind}", netns = "{self.edge.netns}" }}
lan = {{ interface = "lan", type = "{kind}", netns = "{self.edge.netns}" }}
{nf}
[edges]
chains = [{chains}]
stitch-points = {{ {points} }}
"""


SPREAD = """
#include <inkev/nf.h>
IKV_NF int spread(struct ikv_packet *pkt)
{
	const struct ikv_ipv4 *ip = ikv_ipv4(pkt);
	__u8 byte;

	ikv_add(pkt, 0, 1 + pkt->in_port + (ip ? ip->ttl : 0));
	if (ikv_load(pkt, 30, &byte, 1))
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	byte = byte * 5 + 1;	/* all residues of 8 in turn: no packet goes further than 8 functions */
	if (ikv_store(pkt, 30, &byte, 1))
		return ikv_drop(pkt, IKV_DROP_MALFORMED);
	if ((byte & 7) == 7)
		return ikv_drop(pkt, IKV_DROP_POLICY);
	return ikv_forward(pkt, (byte >> 3) % PORTS);
}
"""


@functools.cache
def spreads() -> tuple[Shelved, ...]:
    """Return `spread1` to `spread3`: as many ports, and a way through them that depends on the packet."""
    return tuple(
        build(
            f"spread{count}",
            "1.0",
            "\n".join(f"{port} = {{ }}" for port in "abc"[:count]),
            f"#define PORTS {count}\n#define spread spread{count}\n{SPREAD}",
            '[permissions]\npacket = "write"\n',
        )
        for count in (1, 2, 3)
    )
