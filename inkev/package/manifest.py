"""The manifest of a package (`nf.toml`, schema 1) as typed values.

Order matters in [ports], [metrics] and [reasons]: the position is the number that the C source uses.
Reading it from text, with every fault at once, is `inkev.package.reading`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Dialect = Literal["inkev", "xdp", "tc", "bcc"]
Kind = Literal["function", "graph", "library"]
HookKind = Literal["xdp", "tc"]
Direction = Literal["in", "out", "both"]
Verdict = str
"""What a foreign return code means: `pass`, `drop`, `transmit`, `redirect` or `port:NAME`."""


class Package(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """[package]: who this is."""

    name: str
    version: str
    kind: Kind = "function"
    summary: str
    license: str
    authors: tuple[str, ...] = ()
    homepage: str = ""
    keywords: tuple[str, ...] = ()


class Requires(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """[requires]: what must be there first."""

    inkev: str = ""
    packages: dict[str, str] = {}
    kernel: tuple[str, ...] = ()
    """Feature names that the datapath can probe: `xdp`, `tcx`, `lpm-trie`, `lru-hash`, `ring-buffer`, ..."""


class Program(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """[programs.NAME]: one entry point and how to build it."""

    dialect: Dialect = "inkev"
    file: str
    entry: str
    hooks: tuple[HookKind, ...] = ("xdp", "tc")
    """Hook types it is built for; a foreign program has exactly one, its dialect."""
    defines: dict[str, str] = {}
    includes: tuple[str, ...] = ()
    map_sizes: dict[str, int] = {}
    map_entries: dict[str, dict[str, str]] = {}
    """Initial entries of a foreign program's maps: map name to hex key to hex value."""
    rodata: dict[str, int | str] = {}
    """Values for `const volatile` globals of a foreign program, by name; text is hex bytes."""
    codes: dict[str, Verdict] = {}
    """Foreign return code (number or XDP_/TC_ACT_ name) to verdict; PASS/OK/UNSPEC go to the one output port if not."""


class Port(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """[ports.NAME]: a named way in or out."""

    direction: Direction = "both"
    program: str = ""
    """The program a packet entering here runs; the only one where there is one."""
    summary: str = ""
    flood: bool = False
    """True where the NF may send copies out of this port (IKV_FLOOD)."""
    optional: bool = False
    """True where leaving the port unwired is no fault: nothing is then forwarded to it, and floods skip it."""


class ConfigOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """[config.NAME]: a typed option, a constant by the time the NF is linked. NAME is the field of the C struct."""

    type: str
    """A column type of `inkev.package.columns`: u8..u64, bool, duration, rate, ipv4, ipv6, mac, enum, ..."""
    default: Any
    minimum: int | None = None
    maximum: int | None = None
    values: tuple[str, ...] = ()
    """For `enum`: the names, numbered from 0."""
    unit: str = ""
    help: str = ""


class MapRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """[maps.NAME]: the meaning of a map beyond its layout."""

    version: int = 1
    export: str = ""
    imported: str = msgspec.field(name="import", default="")


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One column of a table."""

    type: str
    field: str = ""
    """Dotted path in the map's key or value (`key.addr`, `value.port`); defaults to the column's name, key first."""
    default: Any = None
    """None: the column must be given."""
    values: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    read_only: bool = False
    """Shown, never written: counters, timestamps."""
    help: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """[tables.NAME]: an operator-editable table backed by maps."""

    map: str
    engine: Literal["direct", "classifier"] = "direct"
    """`direct`: a row is a map entry. `classifier`: ordered rules compiled into the arena of <inkev/classify.h>."""
    columns: dict[str, Column]
    volatile: bool = False
    """True for what the NF itself writes (learned MACs, connections): state, never drift."""
    help: str = ""


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """[metrics.NAME]: a per-CPU counter of the instance."""

    help: str
    unit: str = "packets"


class Permissions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """[permissions]: all that the bytecode may do; an audit compares."""

    packet: Literal["none", "read", "write"] = "read"
    redirect: bool = False
    clone: bool = False
    tail_calls: bool = False
    control: bool = False
    helpers: tuple[str, ...] = ()
    """bpf helpers beyond map access and what the library needs for the declared rights, e.g. `bpf_fib_lookup`."""
    kfuncs: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """The whole of nf.toml."""

    schema: Literal[1]
    package: Package
    requires: Requires = Requires()
    programs: dict[str, Program] = {}
    ports: dict[str, Port] = {}
    config: dict[str, ConfigOption] = {}
    maps: dict[str, MapRules] = {}
    tables: dict[str, Table] = {}
    metrics: dict[str, Metric] = {}
    reasons: dict[str, str] = {}
    """Private drop reasons to their meaning; numbered from COMMON_REASONS in this order."""
    permissions: Permissions = Permissions()
    subgraph: dict[str, Any] | None = msgspec.field(name="graph", default=None)
    """For kind `graph`: hooks are ports; otherwise the graph file's shape."""
