"""A graph as one typed value: hooks, instances, devices, edges, stitch points.

Printed as TOML for people and as canonical JSON in the kernel and in locks. Reading and validating are
`inkev.graph.reading` and `inkev.graph.validate`; this module only says what a graph is.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

HookType = Literal["xdp", "tc-ingress", "tc-egress"]
ProgramType = Literal["xdp", "tc"]

DROP = "drop"
HOST = "host"
"""Reserved nodes: an edge to `drop` discards, one to `host` hands the packet to the host's stack."""


class Hook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", omit_defaults=True):
    """A kernel attach point that packets enter by, and that edges may lead out of."""

    interface: str = ""
    """One interface by name; exactly one of `interface` and `interfaces` is given."""
    interfaces: str = ""
    """A set by shell pattern: one loaded program, membership is data."""
    type: HookType = "tc-ingress"
    netns: str = ""
    """Name in /run/netns, or a path; empty for the caller's."""
    mode: Literal["auto", "native", "generic"] = "auto"

    @property
    def program_type(self) -> ProgramType:
        """The kernel program type that runs here."""
        return "xdp" if self.type == "xdp" else "tc"


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", omit_defaults=True):
    """A network interface that edges lead to and nothing is attached to."""

    interface: str


class Instance(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", omit_defaults=True
):
    """A named, configured NF. In a file `package` is a requirement; what is pinned stands in the lock."""

    package: str
    config: dict[str, Any] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    imports: dict[str, str] = {}


class Node(msgspec.Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """One end of an edge: a hook, device, instance, or `drop` / `host`; `port` only for an instance."""

    name: str
    port: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.port}" if self.port else self.name


class Edge(msgspec.Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """A one-way connection; every source has at most one edge out."""

    source: Node
    target: Node

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A graph package of which an instance was made; its parts are the instances `NAME-PART`."""

    package: str
    version: str
    digest: str


class Graph(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that changes atomically. Edges are sorted; ports left out are filled in once packages are known."""

    name: str
    hooks: dict[str, Hook] = {}
    devices: dict[str, Device] = {}
    instances: dict[str, Instance] = {}
    edges: tuple[Edge, ...] = ()
    points: dict[str, Node] = {}
    """Declared stitch points: name to the *source* of the edge. Inserting keeps the source and so the name.
    Every hook's entry is a stitch point too, named as the hook."""
    groups: dict[str, Group] = {}
    """Instances of graph packages in the file, whose parts stand among `instances`."""
