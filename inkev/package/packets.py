"""Packets as text: scapy expressions read by a parser and never evaluated, and the difference of two packets by field.

Addresses left out get fixed ones (RFC 5737, RFC 3849, locally administered MACs), so that a packet is the same bytes on
every machine; scapy alone would ask the routing table and send ARP requests.
"""

from __future__ import annotations

import ast
import ipaddress
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, TypeAlias

from inkev.base.errors import InkevError, UserError

Layer: TypeAlias = Any
"""A scapy layer or layer class: scapy has no types."""

LAYERS = {
    "Ether": "l2", "Dot1Q": "l2", "Dot1AD": "l2", "ARP": "l2", "LLC": "l2", "SNAP": "l2", "STP": "l2", "GRE": "l2",
    "IP": "inet", "TCP": "inet", "UDP": "inet", "ICMP": "inet", "IPerror": "inet", "TCPerror": "inet", "UDPerror":
    "inet", "ICMPerror": "inet", "IPOption_NOP": "inet", "IPOption_RR": "inet", "IPOption_Timestamp": "inet",
    "IPOption_Router_Alert": "inet", "IPv6": "inet6", "IPv6ExtHdrFragment": "inet6", "IPv6ExtHdrHopByHop": "inet6",
    "IPv6ExtHdrDestOpt": "inet6", "IPv6ExtHdrRouting": "inet6", "IPerror6": "inet6", "TCPerror6": "inet6",
    "UDPerror6": "inet6", "PadN": "inet6", "Pad1": "inet6", "RouterAlert": "inet6", "ICMPv6EchoRequest": "inet6",
    "ICMPv6EchoReply": "inet6", "ICMPv6DestUnreach": "inet6", "ICMPv6PacketTooBig": "inet6", "ICMPv6TimeExceeded":
    "inet6", "ICMPv6ParamProblem": "inet6", "ICMPv6ND_NS": "inet6", "ICMPv6ND_NA": "inet6", "ICMPv6ND_RS": "inet6",
    "ICMPv6ND_RA": "inet6", "ICMPv6NDOptSrcLLAddr": "inet6", "ICMPv6NDOptDstLLAddr": "inet6",
    "ICMPv6NDOptPrefixInfo": "inet6", "ICMPv6NDOptMTU": "inet6", "ICMPv6Unknown": "inet6", "VXLAN": "vxlan", "SCTP":
    "sctp", "BOOTP": "dhcp", "DHCP": "dhcp", "DNS": "dns", "DNSQR": "dns", "DNSRR": "dns", "AH": "ipsec", "ESP":
    "ipsec", "Raw": "", "Padding": "",
}  # fmt: skip
"""Layer to the module of scapy.layers that has it ("" for scapy.packet): what an expression may name."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "Ether": {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"},
    "IP": {"src": "192.0.2.1", "dst": "192.0.2.2"},
    "IPv6": {"src": "2001:db8::1", "dst": "2001:db8::2"},
    "IPerror": {"src": "192.0.2.2", "dst": "192.0.2.1"},
    "IPerror6": {"src": "2001:db8::2", "dst": "2001:db8::1"},
    "ARP": {"hwsrc": "02:00:00:00:00:01", "hwdst": "00:00:00:00:00:00", "psrc": "192.0.2.1", "pdst": "192.0.2.2"},
}
"""Fields that scapy would fill in from the machine it runs on."""

ADDRESS_FIELDS = frozenset({"src", "dst", "hwsrc", "hwdst", "psrc", "pdst", "tgt", "lladdr", "gw"})
MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
PACKET_BYTES = 65_535


def parse_packet(text: str) -> bytes:
    """Return the bytes that a packet expression or `hex:...` stands for.

    Raises:
        UserError: `bad-packet`: not limited to layers, literals and `/`, or scapy cannot build it; `scapy-missing`.
    """
    if text.startswith("hex:"):
        return _parse_hex(text[4:])
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _bad(text, f"not an expression: {error}") from error
    try:
        return _build(_Reader(text).packet(tree), text)
    except RecursionError as error:
        raise _bad(text, "nested too deeply") from error


def _parse_hex(digits: str) -> bytes:
    try:
        return bytes.fromhex("".join(digits.split()))
    except ValueError as error:
        raise _bad(f"hex:{digits}", "not pairs of hex digits") from error


def _bad(text: str, why: str) -> UserError:
    return UserError(
        "bad-packet",
        f"cannot read the packet {text!r}",
        why=why,
        hint="write scapy layers joined by /, such as Ether()/IP(dst='10.0.0.2')/UDP(dport=53), or hex:...",
    )


def _build(packet: Layer, text: str) -> bytes:
    # scapy's fields raise whatever struct, socket and its own checks raise: all mean that a value does not fit.
    import struct

    try:
        built = bytes(packet)
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, OSError, OverflowError, IndexError) as error:
        raise _bad(text, f"a field does not take its value: {error}") from error
    if len(built) > PACKET_BYTES:
        raise _bad(text, f"{len(built)} bytes; a packet has at most {PACKET_BYTES}")
    return built


def load_layer(name: str) -> Layer:
    """Return scapy's class of a layer.

    Raises:
        UserError: `scapy-missing`.
    """
    import importlib
    import logging

    logging.getLogger("scapy").setLevel(logging.ERROR)
    module = f"scapy.layers.{LAYERS[name]}" if LAYERS[name] else "scapy.packet"
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise UserError(
            "scapy-missing",
            "packet tests need scapy",
            why=str(error),
            hint="pip install 'inkev[check]', or apt-get install python3-scapy",
        ) from error


class _Reader:
    """Turns the syntax tree of one packet expression into scapy's layers; everything else in it is refused."""

    def __init__(self, text: str) -> None:
        self._text = text

    def packet(self, node: ast.expr) -> Layer:
        """Return the layers that a `/` chain, one call, or a payload literal stands for."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return self.packet(node.left) / self.packet(node.right)
        if isinstance(node, ast.Call):
            return self._layer(node)
        value = self._literal(node)
        if isinstance(value, str | bytes):
            return load_layer("Raw")(load=value.encode() if isinstance(value, str) else value)
        raise _bad(self._text, f"{ast.unparse(node)} is neither a layer nor a payload")

    def _layer(self, node: ast.Call) -> Layer:
        if not isinstance(node.func, ast.Name) or node.func.id not in LAYERS:
            raise _bad(self._text, f"{ast.unparse(node.func)} is not a known layer")
        name = node.func.id
        layer = load_layer(name)
        fields = self._fields(name, node)
        known = {field.name for field in layer.fields_desc}
        for field in fields:
            if field not in known:
                raise _bad(self._text, f"{name} has no field {field}; it has {', '.join(sorted(known))}")
        return layer(**fields)

    def _fields(self, name: str, node: ast.Call) -> dict[str, Any]:
        fields = dict(DEFAULTS.get(name, {}))
        if node.args:
            if name not in {"Raw", "Padding"} or len(node.args) > 1:
                raise _bad(self._text, f"{name} takes its fields by name")
            fields["load"] = self._literal(node.args[0])
        for keyword in node.keywords:
            if keyword.arg is None:
                raise _bad(self._text, "** is not allowed")
            fields[keyword.arg] = self._field(keyword.arg, keyword.value)
        return fields

    def _field(self, name: str, node: ast.expr) -> object:
        value = self._literal(node)
        if name in ADDRESS_FIELDS and isinstance(value, str) and not _is_address(value):
            # scapy would look a host name up, and take a prefix for a set of packets.
            raise _bad(self._text, f"{name}={value!r} is not one address")
        return value

    def _literal(self, node: ast.expr) -> object:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | bytes() | None as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
            case ast.List(elts=items):
                return [self._literal(item) for item in items]
            case ast.Tuple(elts=items):
                return tuple(self._literal(item) for item in items)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return self._repeated(self._literal(left), self._literal(right))
            case ast.Call() | ast.BinOp(op=ast.Div()):
                return self.packet(node)
        raise _bad(self._text, f"{ast.unparse(node)} is not a literal")

    def _repeated(self, value: object, times: object) -> str | bytes:
        if (
            not isinstance(value, str | bytes)
            or not isinstance(times, int)
            or not 0 <= len(value) * times <= PACKET_BYTES
        ):
            raise _bad(self._text, "only a text or bytes may be repeated, up to a packet's size")
        return value * times


def _is_address(text: str) -> bool:
    if MAC.fullmatch(text):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def describe_difference(expected: bytes, got: bytes) -> list[str]:
    """Return where two packets differ, one line for each field: `IP.ttl: expected 63, got 64`."""
    try:
        lines = list(_iter_differences(expected, got))
    except InkevError:
        lines = []
    return lines or _describe_bytes(expected, got)


def _iter_differences(expected: bytes, got: bytes) -> Iterator[str]:
    ether = load_layer("Ether")
    for wanted, seen in zip_longest(_layers(ether(expected)), _layers(ether(got))):
        if wanted is None or seen is None or wanted.name != seen.name:
            yield f"layer: expected {_layer_text(wanted)}, got {_layer_text(seen)}"
            return
        for name in wanted.fields:
            if wanted.getfieldval(name) != seen.getfieldval(name):
                label = type(wanted).__name__
                yield f"{label}.{name}: expected {_value_text(wanted, name)}, got {_value_text(seen, name)}"


def _value_text(layer: Layer, name: str) -> str:
    return str(layer.get_field(name).i2repr(layer, layer.getfieldval(name)))


def _layers(packet: Layer) -> Iterator[Layer]:
    while packet.name != "NoPayload":
        yield packet
        packet = packet.payload


def _layer_text(layer: Layer) -> str:
    return "nothing" if layer is None else f"{type(layer).__name__} ({len(layer)} bytes)"


def _describe_bytes(expected: bytes, got: bytes) -> list[str]:
    if expected == got:
        return []
    at = next((i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), min(len(expected), len(got)))
    wanted, seen = (part[at : at + 16].hex(" ") or "the end" for part in (expected, got))
    return [f"byte {at}: expected {wanted}, got {seen}"]
