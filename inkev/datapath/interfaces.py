"""What hooks need to know of network interfaces: which there are, what XDP can do there, what is at the other end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from inkev.base.errors import UserError
from inkev.bpf.program import Program
from inkev.datapath.ethtool import receive_offload, transmit_checksum
from inkev.datapath.netns import NAMED, PROCESS, inside, namespace_path
from inkev.datapath.rtnetlink import NetLink, Route
from inkev.graph.model import Hook
from inkev.host.kernel import Interface

_NO_NATIVE_XDP = frozenset({"bridge", "vxlan", "vlan", "macvlan", "ipvlan", "dummy", "ifb", "gre", "gretap", "ipip",
                            "sit", "wireguard", "geneve", "vrf", "netkit", "loopback"})
"""Kinds whose drivers have no ndo_bpf; elsewhere attaching says it."""

_TUN_VNET_HDR = 5


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a veth."""

    label: str
    partial_checksums: bool
    napi: bool


def read_links(netns: str) -> list[NetLink]:
    """Return every interface of a namespace."""
    with inside(netns), Route() as route:
        return route.links()


def matching(hook: Hook, links: list[NetLink]) -> list[NetLink]:
    """Return the interfaces that the hook names.

    Raises:
        UserError: `no-such-interface` (never for a pattern, which may match none).
    """
    if hook.interfaces:
        return [link for link in links if fnmatchcase(link.name, hook.interfaces)]
    found = [link for link in links if link.name == hook.interface]
    if not found:
        from difflib import get_close_matches

        names = [link.name for link in links]
        close = get_close_matches(hook.interface, names, 1)
        where = f"namespace {hook.netns}" if hook.netns else "this namespace"
        raise UserError("no-such-interface", f"there is no interface {hook.interface} in {where}",
                        why=f"it has {', '.join(names)}",
                        hint=f"did you mean {close[0]}?" if close else "ip link shows the interfaces")
    return found


def read_interfaces(hook: Hook, own_programs: frozenset[int]) -> list[Interface]:
    """Return the interfaces that the hook names now.

    Args:
        hook: where to look.
        own_programs: ids of programs that are no stranger's.
    """
    path = namespace_path(hook.netns)
    with inside(path), Route() as route:
        found = matching(hook, route.links())
        return [_describe(link, route, path, own_programs) for link in found]


def describe_program(number: int) -> str:
    """Return what to call a program in an error: id, name and tag."""
    try:
        with Program.by_id(number) as program:
            info = program.info
    except FileNotFoundError:
        return f"program {number}"
    return f"program {number} ({info.name or 'without a name'}, tag {info.tag})"


def _describe(link: NetLink, route: Route, path: Path, own_programs: frozenset[int]) -> Interface:
    kind = link.kind or ("loopback" if link.name == "lo" else "physical")
    peer = _find_peer(link, route, path) if kind == "veth" else None
    foreign = link.xdp_program and link.xdp_program not in own_programs
    return Interface(
        name=link.name, ifindex=link.ifindex, kind=kind, up=link.up, xdp_native=kind not in _NO_NATIVE_XDP,
        transmit_xdp=peer.napi if peer else kind not in _NO_NATIVE_XDP,
        partial_checksums=peer.partial_checksums if peer else _virtual_machine(link),
        peer=peer.label if peer else "", xdp_holder=describe_program(link.xdp_program) if foreign else "")


def _virtual_machine(link: NetLink) -> bool:
    """Whether frames from a TUN device may lack checksums: a virtual machine's do, by way of the virtio header."""
    return link.kind == "tun" and any(link.info.get(_TUN_VNET_HDR, b""))


def _find_peer(link: NetLink, route: Route, path: Path) -> Peer:
    """Return the facts of a veth's peer; where its namespace has no name, the worst is assumed of its checksums."""
    if link.peer_nsid is None:
        return _peer_in(path, link.peer_ifindex, "")
    for candidate in _namespaces():
        if route.namespace_id(candidate) == link.peer_nsid:
            return _peer_in(candidate, link.peer_ifindex, candidate.name if candidate.parent == NAMED else "")
    return Peer("", partial_checksums=True, napi=False)


def _peer_in(path: Path, ifindex: int, netns: str) -> Peer:
    with inside(path), Route() as route:
        found = next((link for link in route.links() if link.ifindex == ifindex), None)
        if found is None:
            return Peer("", partial_checksums=True, napi=False)
        label = f"{netns}/{found.name}" if netns else found.name
        napi = found.xdp_mode == "native" or receive_offload(found.name)
        return Peer(label, transmit_checksum(found.name), napi)


def _namespaces() -> Iterator[Path]:
    """Yield the files of the namespaces that can be named, then the caller's, then those that processes live in."""
    yield from (NAMED.iterdir() if NAMED.exists() else ())
    yield PROCESS
    seen = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            path = process / "ns/net"
            try:
                number = path.stat().st_ino
            except OSError:  # it ended, or is not ours to look at
                continue
            if number not in seen:
                seen.add(number)
                yield path
