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
        links = route.links()
        peers = PeerFinder(route, path, links)
        return [_describe(link, peers, own_programs) for link in matching(hook, links)]


def describe_program(number: int) -> str:
    """Return what to call a program in an error: id, name and tag."""
    try:
        with Program.by_id(number) as program:
            info = program.info
    except FileNotFoundError:
        return f"program {number}"
    return f"program {number} ({info.name or 'without a name'}, tag {info.tag})"


def _describe(link: NetLink, peers: PeerFinder, own_programs: frozenset[int]) -> Interface:
    kind = link.kind or ("loopback" if link.name == "lo" else "physical")
    peer = peers.find(link) if kind == "veth" else None
    foreign = link.xdp_program and link.xdp_program not in own_programs
    return Interface(
        name=link.name, ifindex=link.ifindex, kind=kind, up=link.up, xdp_native=kind not in _NO_NATIVE_XDP,
        transmit_xdp=peer.napi if peer else kind not in _NO_NATIVE_XDP,
        partial_checksums=peer.partial_checksums if peer else _virtual_machine(link),
        peer=peer.label if peer else "", xdp_holder=describe_program(link.xdp_program) if foreign else "")


def _virtual_machine(link: NetLink) -> bool:
    """Whether frames from a TUN device may lack checksums: a virtual machine's do, by way of the virtio header."""
    return link.kind == "tun" and any(link.info.get(_TUN_VNET_HDR, b""))


class PeerFinder:
    """Finds the other ends of one namespace's veths, each other namespace looked at once."""

    def __init__(self, route: Route, path: Path, links: list[NetLink]) -> None:
        self._route = route
        self._path = path
        self._links: dict[Path, list[NetLink]] = {path: links}
        self._found: dict[int, Path] = {}
        self._candidates = _namespaces()

    def find(self, link: NetLink) -> Peer:
        """Return the facts of a veth's peer; where its namespace cannot be found, the worst is assumed of it."""
        path = self._path if link.peer_nsid is None else self._namespace(link.peer_nsid)
        if path is None:
            return _UNKNOWN
        with inside(path):
            if path not in self._links:
                with Route() as route:
                    self._links[path] = route.links()
            peer = next((item for item in self._links[path] if item.ifindex == link.peer_ifindex), None)
            return _UNKNOWN if peer is None else self._facts(path, peer)

    def _facts(self, path: Path, peer: NetLink) -> Peer:
        label = f"{path.name}/{peer.name}" if path.parent == NAMED and path != self._path else peer.name
        return Peer(label, transmit_checksum(peer.name), peer.xdp_mode == "native" or receive_offload(peer.name))

    def _namespace(self, nsid: int) -> Path | None:
        """Return the namespace that ours knows by this id; candidates are asked for theirs until one has it."""
        while nsid not in self._found:
            candidate = next(self._candidates, None)
            if candidate is None:
                return None
            number = self._route.namespace_id(candidate)
            if number is not None:
                self._found.setdefault(number, candidate)
        return self._found[nsid]


_UNKNOWN = Peer("", partial_checksums=True, napi=False)


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
