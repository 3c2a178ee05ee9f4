"""The first packages, built, and hosts around an edge that forwards nothing by itself."""

from __future__ import annotations

import functools
import hashlib
import select
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from inkev.base.paths import Root
from inkev.datapath.kernel import LinuxKernel
from inkev.host.host import Host
from inkev.host.results import InstanceStatus
from inkev.package.reading import read_package
from inkev.toolchain.build import build_folder
from inkev.toolchain.linker import BitcodeLinker
from tests.host.kit import Shelf, Shelved
from tests.lab import Host as Machine
from tests.lab import Lab

NFPKGS = Path(__file__).parents[2] / "nfpkgs"
NAMES = tuple(sorted(folder.name for folder in NFPKGS.iterdir() if (folder / "nf.toml").exists()))
NOTE = 0x88B5
"""An Ethernet type for local experiments (IEEE 802, table 3): frames of it belong to nobody but the tests."""
IP_RECVERR, IPV6_RECVERR, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER = 11, 25, 10, 23
PROBE = 3
"""IP_PMTUDISC_PROBE: never fragment, and believe no path MTU."""


@functools.cache
def built(name: str) -> Shelved:
    """Return a first package, built from a copy of its folder."""
    held = tempfile.TemporaryDirectory(prefix="ikvt-")
    folder = Path(held.name, name)
    shutil.copytree(NFPKGS / name, folder, ignore=shutil.ignore_patterns("build"))
    build_folder(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return Shelved(folder, read_package(folder)[0], digest, held)


class Edge:
    """inkev at the edge of one lab: one graph, `edge`, over hooks of one type."""

    def __init__(self, root: Root, folder: Path, linker: BitcodeLinker, machine: Machine, hook: str) -> None:
        self._root = root
        self._file = folder / "edge.toml"
        self._linker = linker
        self.machine = machine
        self.hook = hook
        self.host: Host

    def stitch(self, package: str, chains: str, more: str = "", **hooks: str) -> None:
        """Run one function, `nf`, of a package.

        Args:
            package: the name of a first package.
            chains: TOML text of the graph's chains.
            more: lines for `[nf.nf]`: its configuration and tables.
            hooks: name to interface; a pattern with `*` is a set.
        """
        shelf = Shelf(built(package))
        self.host = Host(self._root, LinuxKernel(self._root), self._linker, shelf)
        self._file.write_text(
            f'[graph]\nname = "edge"\n[hooks]\n{self._hooks(hooks)}\n'
            f'[nf.nf]\npackage = "{package}"\n{more}\n[edges]\nchains = [{chains}]\n'
        )
        self.host.stitch(self._file)

    def _hooks(self, hooks: dict[str, str]) -> str:
        return "\n".join(
            f'{name} = {{ interface{"s" if "*" in device else ""} = "{device}", type = "{self.hook}", '
            f'netns = "{self.machine.netns}" }}'
            for name, device in hooks.items()
        )

    def status(self) -> InstanceStatus:
        """Return the function's counters."""
        return self.host.status("edge")[0].instances[0]

    def rows(self, table: str) -> list[dict[str, object]]:
        """Return the rows of a table of the function."""
        return self.host.table("edge", "nf", table).rows()

    def clear(self) -> None:
        """Take the graph out."""
        if hasattr(self, "host"):
            for running in self.host.status():
                self.host.unstitch(running.name)


class Star:
    """Hosts `a`, `b`, `c`, each on a port of the edge: `ikvt0`, `ikvt1`, `ikvt2`.

    All share 10.9.0.0/24 and fd09::/64, where they are .1 to .3; each also has a net of its own (10.1.0.0/24 and
    fd01::/64 and so on), where it is .2 and .1 is a router that leads to the others' nets.
    """

    def __init__(self, lab: Lab, hook: str, ports: int = 3) -> None:
        self.hook = hook
        self.edge = lab.host("edge")
        self.hosts = [lab.host(name) for name in "abc"[:ports]]
        for number, host in enumerate(self.hosts):
            own = number + 1
            plain = hook == "xdp"  # checksums left to a device cannot be finished behind XDP
            lab.wire(self.edge, f"ikvt{number}", host, "eth0", checksum_offload=not plain, gro=plain)
            host.sysctl("net/ipv6/conf/eth0/accept_ra", 0)
            host.ip(
                f"addr add 10.9.0.{own}/24 dev eth0", f"addr add fd09::{own}/64 dev eth0 nodad",
                f"addr add 10.{own}.0.2/24 dev eth0", f"addr add fd0{own}::2/64 dev eth0 nodad",
                f"route add default via 10.{own}.0.1 src 10.{own}.0.2",
                f"route add default via fd0{own}::1 src fd0{own}::2",
            )  # fmt: skip

    def forget(self) -> None:
        """Let every host forget its neighbours and what it learned of paths."""
        for host in self.hosts:
            for family in ("-4", "-6"):
                host.run("ip", family, "neigh", "flush", "all")
                host.run("ip", family, "route", "flush", "cache")


def reaches(host: Machine, target: str) -> bool:
    """Return whether three echo requests in a row are answered, once the way is known: questions cost packets."""
    if not any(host.ping(target, count=1, timeout=0.4) for _ in range(6)):
        return False
    return host.ping(target, count=3, timeout=1.0) == 3


def is_silent(host: Machine, target: str) -> bool:
    """Return whether two echo requests get no answer."""
    return host.ping(target, count=2, timeout=0.15) == 0


@dataclass(frozen=True)
class IcmpError:
    """What a socket's error queue says of an ICMP error (struct sock_extended_err, include/uapi/linux/errqueue.h)."""

    type: int
    code: int
    mtu: int
    offender: str


def provoke(host: Machine, target: str, ttl: int = 64, size: int = 20, port: int = 33434) -> IcmpError | None:
    """Send a datagram and return the first ICMP error about it, sent again twice where none comes; None without one."""
    six = ip_address(target).version == 6
    family, level = (socket.AF_INET6, socket.IPPROTO_IPV6) if six else (socket.AF_INET, socket.IPPROTO_IP)
    with host.open_socket(family) as channel:
        channel.setsockopt(level, IPV6_RECVERR if six else IP_RECVERR, 1)
        channel.setsockopt(level, IPV6_MTU_DISCOVER if six else IP_MTU_DISCOVER, PROBE)
        channel.setsockopt(level, socket.IPV6_UNICAST_HOPS if six else socket.IP_TTL, ttl)
        watch = select.poll()
        watch.register(channel, 0)  # POLLERR is always told
        for _ in range(3):
            channel.sendto(bytes(size), (target, port))
            if watch.poll(500):
                return _error(channel, six)
    return None


def _error(channel: socket.socket, six: bool) -> IcmpError:
    _, notes, _, _ = channel.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
    data = notes[0][2]
    kind, code, mtu = struct.unpack_from("=5xBBxI", data)
    address = data[16 + 8 : 16 + 24] if six else data[16 + 4 : 16 + 8]
    return IcmpError(kind, code, mtu, str(ip_address(bytes(address))))


@contextmanager
def listening(host: Machine, device: str = "eth0") -> Iterator[list[bytes]]:
    """Collect the texts of notes that come in (not what goes out) until the block ends; the kernel takes off tags."""
    found: list[bytes] = []
    with host.packets(device) as channel:
        yield found
        channel.setblocking(False)
        try:
            while True:
                frame, origin = channel.recvfrom(2048)
                if origin[1] == NOTE and origin[2] != socket.PACKET_OUTGOING:
                    found.append(frame[14:].rstrip(b"\0"))
        except BlockingIOError:
            return


def note(text: bytes, src: str, dst: str = "ff:ff:ff:ff:ff:ff", vlan: int = 0) -> bytes:
    """Return a frame of the type NOTE, tagged where a VLAN is given."""
    macs = bytes.fromhex((dst + src).replace(":", ""))
    tag = struct.pack("!HH", 0x8100, vlan) if vlan else b""
    return macs + tag + NOTE.to_bytes(2, "big") + text.ljust(46, b"\0")


def send(host: Machine, *frames: bytes) -> None:
    """Send frames out of eth0."""
    with host.packets("eth0") as channel:
        for frame in frames:
            channel.send(frame)
