"""One ordered rule as a typed value: to and from a table's row, and to and from its record in the map of rules.

The record (struct ikv_class_rule of <inkev/classify.h>) keeps all that the text form needs, so what runs can be listed
by a process that did not write it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from struct import Struct
from typing import Any

from inkev.base.errors import FaultList, UserError
from inkev.package.addresses import EVERYTHING, Network
from inkev.package.columns import FindInterface, format_value, parse_value
from inkev.package.manifest import Table
from inkev.package.transport import ANY_PORT, PortRange, TcpFlags

_RECORD = Struct("=II16s16s8B4H2B6x16s")
RECORD_BYTES = _RECORD.size

ANY_FLAGS = TcpFlags(0, 0)

V4, V6 = 1, 2
"""Bits of `Rule.families`."""

MATCHES = ("src", "dst", "sport", "dport", "protocol", "tcp-flags", "from", "interface")
"""Columns that say what a rule matches; together they are its key. A table has those that it declares."""

DEFAULTS: dict[str, Any] = {"src": "any", "dst": "any", "sport": "any", "dport": "any", "protocol": "any",
                            "tcp-flags": "any", "from": "any", "interface": "any"}


@dataclass(frozen=True, slots=True)
class Match:
    """What a packet must be like. Two rules of one table never have the same match."""

    src: Network = EVERYTHING
    dst: Network = EVERYTHING
    sport: PortRange = ANY_PORT
    dport: PortRange = ANY_PORT
    protocol: int = 0
    tcp: TcpFlags = ANY_FLAGS
    port: int = 0
    """Port of entry, from 1; 0 is any."""
    interface: str = ""

    @property
    def families(self) -> int:
        """V4, V6 or both: a rule without addresses is for both."""
        return _families(self.src) & _families(self.dst)


@dataclass(frozen=True, slots=True)
class Rule:
    """A match and what is done where it matches."""

    match: Match
    action: int
    ifindex: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A rule in its place: smaller priorities win."""

    rule: Rule
    priority: int
    group: int


def _families(network: Network) -> int:
    if network == EVERYTHING:
        return V4 | V6
    return V4 if isinstance(network, IPv4Network) else V6


def parse_rule(table: Table, row: Mapping[str, Any], find_interface: FindInterface) -> Rule:
    """Return the rule that a row says.

    Raises:
        UserError: `unknown-column`, `missing-column`, `mixed-families`, or what a column's type refuses.
    """
    _check_columns(table, row)
    values = {name: _parse_column(table, name, row.get(name))
              for name in table.columns if name in (*MATCHES, "verdict")}
    interface = values.get("interface", 0)  # a name, or an index written #7
    match = Match(
        src=values.get("src", EVERYTHING), dst=values.get("dst", EVERYTHING), sport=values.get("sport", ANY_PORT),
        dport=values.get("dport", ANY_PORT), protocol=values.get("protocol", 0),
        tcp=values.get("tcp-flags", ANY_FLAGS), port=values.get("from", 0), interface=_interface_name(interface))
    _check_match(match)
    ifindex = find_interface(interface) if isinstance(interface, str) else interface
    return Rule(match, values["verdict"], ifindex)


def _interface_name(interface: str | int) -> str:
    """Return the text form that stays in the record."""
    if isinstance(interface, str):
        return interface
    return f"#{interface}" if interface else ""


def _check_columns(table: Table, row: Mapping[str, Any]) -> None:
    faults = FaultList()
    for name in row:
        if name not in table.columns:
            faults.add("unknown-column", f"rules have no column {name!r}", where=name,
                       hint=f"there are {', '.join(table.columns)}")
    if row.get("verdict", table.columns["verdict"].default) is None:
        faults.add("missing-column", "a rule needs a verdict", where="verdict",
                   hint=f"one of {', '.join(table.columns['verdict'].values)}")
    faults.check()


def _parse_column(table: Table, name: str, raw: object) -> Any:  # noqa: ANN401 - each type has values of its own
    column = table.columns[name]
    if raw is None:
        raw = column.default if column.default is not None else DEFAULTS[name]
    return parse_value(column.type, raw, values=column.values, minimum=column.minimum, maximum=column.maximum,
                       column=name)


def _check_match(match: Match) -> None:
    if not match.families:
        raise UserError("mixed-families", f"no packet goes from {match.src} to {match.dst}", where="src, dst",
                        why="one is IPv4, the other IPv6")
    if match.tcp.mask and match.protocol != 6:
        raise UserError("tcp-flags-without-tcp", "only TCP has TCP flags", where="tcp-flags",
                        hint='add protocol = "tcp"')
    if (match.sport, match.dport) != (ANY_PORT, ANY_PORT) and match.protocol not in {0, 6, 17}:
        raise UserError("ports-without-protocol", "only TCP and UDP have ports here", where="sport, dport",
                        hint="leave the protocol out, or make it tcp or udp")


def format_rule(table: Table, rule: Rule) -> dict[str, Any]:
    """Return the rule's row: every column that is written, in the manifest's order, in the form that is read back."""
    match = rule.match
    values: dict[str, Any] = {
        "src": match.src, "dst": match.dst, "sport": match.sport, "dport": match.dport, "protocol": match.protocol,
        "tcp-flags": match.tcp, "from": match.port, "verdict": rule.action}
    row: dict[str, Any] = {}
    for name, column in table.columns.items():
        if name == "interface":
            row[name] = match.interface or "any"
        elif name in values:
            row[name] = format_value(column.type, values[name], column.values)
    return row


def pack_record(record: Record) -> bytes:
    """Return the record's bytes; those of priority 0 mark a free number."""
    match, rule = record.rule.match, record.rule
    given = (match.src != EVERYTHING) | (match.dst != EVERYTHING) << 1
    return _RECORD.pack(
        record.priority, rule.ifindex, match.src.network_address.packed, match.dst.network_address.packed,
        match.src.prefixlen, match.dst.prefixlen, match.families, match.protocol, match.tcp.value, match.tcp.mask,
        match.port, rule.action, *match.sport, *match.dport, record.group, given, match.interface.encode())


def unpack_record(raw: bytes) -> Record | None:
    """Return the record of these bytes, or None for a free number."""
    (priority, ifindex, src, dst, src_bits, dst_bits, families, protocol, tcp_value, tcp_mask, port, action,
     sport_low, sport_high, dport_low, dport_high, group, given, interface) = _RECORD.unpack(raw)
    if not priority:
        return None
    match = Match(
        src=_network(src, src_bits, families, given & 1), dst=_network(dst, dst_bits, families, given & 2),
        sport=PortRange(sport_low, sport_high), dport=PortRange(dport_low, dport_high), protocol=protocol,
        tcp=TcpFlags(tcp_value, tcp_mask), port=port, interface=interface.rstrip(b"\0").decode())
    return Record(Rule(match, action, ifindex), priority, group)


def _network(address: bytes, bits: int, families: int, given: int) -> Network:
    if not given:
        return EVERYTHING
    if families == V4:
        return IPv4Network((IPv4Address(address[:4]), bits))
    return IPv6Network((IPv6Address(address), bits))
