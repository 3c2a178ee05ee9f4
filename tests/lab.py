"""Hosts in network namespaces, joined by veth pairs: real kernels' worth of network on one machine.

Everything is named `ikvt-*` (demo and benchmarks have prefixes of their own) and is gone at the end of the `with`
block, however it ends. Sockets opened by a host stay in its namespace wherever they are used afterwards; processes
started `inside()` run there.

    with Lab() as lab:
        client, server = lab.host("client"), lab.host("server")
        lab.wire(client, "eth0", server, "eth0", "10.0.0.1/24", "10.0.0.2/24", "fd00::1/64", "fd00::2/64")
        assert client.ping("10.0.0.2") == 3
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import json
import os
import secrets
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from ipaddress import ip_address, ip_interface
from pathlib import Path
from types import TracebackType
from typing import Self

NETNS = Path("/run/netns")
CLONE_NEWNET = 0x40000000
OFFLOADS = {"tx": 0x17, "rx": 0x15, "gro": 0x2C, "gso": 0x24, "tso": 0x1F, "sg": 0x19}
"""ETHTOOL_S* commands (include/uapi/linux/ethtool.h)."""

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _enter(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(fd, CLONE_NEWNET), f"setns {path}")
    finally:
        os.close(fd)


@contextmanager
def namespace(path: Path) -> Iterator[None]:
    """Let this thread alone, and what it starts, live in the namespace for a while."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(str(path))
        yield
    finally:
        _checked(_libc.setns(home, CLONE_NEWNET), "setns back")
        os.close(home)


def create_namespace(name: str) -> Path:
    """Make a network namespace that ip(8) can name too."""
    NETNS.mkdir(parents=True, exist_ok=True)
    path = NETNS / name
    path.touch()
    failure: list[OSError] = []

    def work() -> None:
        try:
            _checked(_libc.unshare(CLONE_NEWNET), "unshare")
            source = f"/proc/self/task/{threading.get_native_id()}/ns/net"
            _checked(_libc.mount(source.encode(), str(path).encode(), None, 4096, None), "mount")  # MS_BIND
        except OSError as error:
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failure:
        path.unlink()
        raise failure[0]
    return path


def remove_namespace(path: Path) -> None:
    """Take the name away; the namespace ends with its last process or socket."""
    _libc.umount2(str(path).encode(), 2)  # MNT_DETACH
    path.unlink(missing_ok=True)


class Host:
    """One network namespace."""

    def __init__(self, name: str, netns: str) -> None:
        self.name = name
        self.netns = netns
        self.path = create_namespace(netns)
        self.ip("link set lo up")

    def inside(self) -> AbstractContextManager[None]:
        """Let this thread, and what it starts, live here for a while."""
        return namespace(self.path)

    def ip(self, *commands: str) -> None:
        """Run commands of ip(8) here, as one batch."""
        with self.inside():
            subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True,
                           capture_output=True)

    def run(self, *arguments: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run a program here to its end."""
        with self.inside():
            return subprocess.run(arguments, check=False, text=True, capture_output=True, timeout=timeout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a program here; its pipes belong to the caller."""
        with self.inside():
            return subprocess.Popen(arguments, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def open_socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_DGRAM,
                    protocol: int = 0) -> socket.socket:
        """Return a socket that stays here, with a deadline of 2 s on everything."""
        with self.inside():
            made = socket.socket(family, kind, protocol)
        made.settimeout(2.0)
        return made

    def packets(self, device: str) -> socket.socket:
        """Return an AF_PACKET socket on one device: whole frames in and out."""
        with self.inside():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
            made.bind((device, 0))
        made.settimeout(2.0)
        return made

    def links(self) -> dict[str, dict]:
        """Return what `ip -s -d -j link` says, by device."""
        return {link["ifname"]: link for link in json.loads(self.run("ip", "-s", "-d", "-j", "link").stdout)}

    def ifindex(self, device: str) -> int:
        """Return a device's index here."""
        with self.inside():
            return socket.if_nametoindex(device)

    def mac(self, device: str) -> str:
        """Return a device's MAC address."""
        return str(self.links()[device]["address"])

    def offload(self, device: str, **features: bool) -> None:
        """Turn offloads (`tx`, `rx`, `gro`, `gso`, `tso`, `sg`) on or off."""
        with self.open_socket() as control:
            for feature, on in features.items():
                value = array.array("I", [OFFLOADS[feature], int(on)])
                request = struct.pack("16sQ16x", device.encode(), value.buffer_info()[0])
                fcntl.ioctl(control, 0x8946, request)  # SIOCETHTOOL

    def sysctl(self, path: str, value: object) -> None:
        """Write /proc/sys/PATH as this host sees it."""
        with self.inside():
            Path("/proc/sys", path).write_text(str(value))

    def forward(self) -> None:
        """Let the kernel itself route here, IPv4 and IPv6."""
        self.sysctl("net/ipv4/ip_forward", 1)
        self.sysctl("net/ipv6/conf/all/forwarding", 1)

    def drops(self) -> dict[str, int]:
        """Return packets that the kernel dropped here: each device's queue drops, and sockets' full buffers (`udp`)."""
        found = {}
        for name, link in self.links().items():
            stats = link["stats64"]
            found[f"{name} rx"], found[f"{name} tx"] = stats["rx"]["dropped"], stats["tx"]["dropped"]
        with self.inside():
            found["udp"] = _udp_buffer_errors(Path("/proc/thread-self/net/snmp").read_text())
        return found

    def ping(self, target: str, count: int = 3, timeout: float = 1.0, size: int = 56) -> int:
        """Return how many of `count` echo requests were answered, each within the timeout."""
        six = ip_address(target.partition("%")[0]).version == 6
        family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
        with self.open_socket(family, socket.SOCK_RAW, protocol) as channel:
            channel.settimeout(timeout)
            return sum(_echo(channel, target, six, number, size) for number in range(count))

    @contextmanager
    def echo(self, port: int = 7, address: str = "0.0.0.0", kind: int = socket.SOCK_DGRAM) -> Iterator[None]:  # noqa: S104
        """Answer every datagram, or every TCP stream, with what it brought, for as long as the block runs."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.open_socket(family, kind) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.settimeout(None)
            server.bind((address, port))
            if kind == socket.SOCK_STREAM:
                server.listen(64)
            worker = threading.Thread(target=_answer_streams if kind == socket.SOCK_STREAM else _answer_datagrams,
                                      args=(server,), daemon=True)
            worker.start()
            try:
                yield
            finally:
                with suppress(OSError):  # a datagram socket is not connected, yet wakes its reader
                    server.shutdown(socket.SHUT_RDWR)
                worker.join()

    def ask(self, target: str, port: int = 7, data: bytes = b"inkev", timeout: float = 1.0) -> bytes | None:
        """Return what a datagram to an echo brings back, or None where nothing comes in time."""
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        with self.open_socket(family) as client:
            client.settimeout(timeout)
            try:
                client.sendto(data, (target, port))
                return client.recv(65535)
            except (TimeoutError, ConnectionRefusedError, OSError):
                return None

    def connect(self, target: str, port: int, data: bytes, timeout: float = 2.0) -> bytes | None:
        """Return what a TCP echo sends back for `data`, or None where it cannot be reached in time."""
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        with self.open_socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            try:
                client.connect((target, port))
                writer = threading.Thread(target=client.sendall, args=(data,))
                writer.start()
                received = _read_exactly(client, len(data))
                writer.join()
            except (TimeoutError, OSError):
                return None
            return received


class Lab:
    """A set of hosts, gone at the end of the block."""

    def __init__(self, prefix: str = "ikvt") -> None:
        self.prefix = prefix
        self.token = secrets.token_hex(3)
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        for host in self.hosts.values():
            with suppress(subprocess.CalledProcessError, OSError):
                host.ip(*(f"link del {name}" for name in host.links() if name != "lo"))
        for host in self.hosts.values():
            remove_namespace(host.path)

    def host(self, name: str) -> Host:
        """Return a new host with nothing but a loopback device."""
        made = Host(name, f"{self.prefix}-{self.token}-{name}")
        self.hosts[name] = made
        return made

    def wire(self, left: Host, left_device: str, right: Host, right_device: str, *addresses: str,
             checksum_offload: bool = True, gro: bool = False) -> None:
        """Join two hosts by a veth pair, both ends up and addressed, ready to carry packets at once.

        Args:
            left: the host at one end, whose device is made as `left_device`.
            right: the host at the other end.
            left_device: at most 15 characters.
            right_device: likewise.
            addresses: in pairs, left then right, each with its prefix length; IPv6 ones skip duplicate detection.
            checksum_offload: whether local senders leave checksums to the devices (CHECKSUM_PARTIAL).
            gro: whether both ends use NAPI, so that frames redirected to them by XDP arrive.
        """
        left.ip(f"link add {left_device} type veth peer name {right_device} netns {right.netns}")
        for host, device, own in ((left, left_device, addresses[::2]), (right, right_device, addresses[1::2])):
            host.sysctl(f"net/ipv6/conf/{device}/accept_dad", 0)
            host.ip(f"link set {device} up", *(f"addr add {address} dev {device}{_nodad(address)}" for address in own))
            host.offload(device, tx=checksum_offload, gro=gro)
            if not checksum_offload:
                host.offload(device, tso=False, gso=False)


def _nodad(address: str) -> str:
    return " nodad" if ip_interface(address).version == 6 else ""


def _udp_buffer_errors(snmp: str) -> int:
    names, values = (line.split() for line in snmp.splitlines() if line.startswith("Udp:"))
    return int(dict(zip(names, values, strict=True))["RcvbufErrors"])


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _echo(channel: socket.socket, target: str, six: bool, number: int, size: int) -> bool:
    """Send one echo request and wait for its answer; ICMPv6 checksums are the kernel's work."""
    identity = os.getpid() & 0xFFFF
    body = struct.pack("!HH", identity, number) + bytes(size)
    head = struct.pack("!BB", 128 if six else 8, 0)
    channel.sendto(head + struct.pack("!H", 0 if six else checksum(head + b"\0\0" + body)) + body, (target, 0))
    try:
        while True:
            answer = channel.recv(65535)
            start = 0 if six else (answer[0] & 15) * 4
            if answer[start] == (129 if six else 0) and answer[start + 4 : start + 8] == body[:4]:
                return True
    except TimeoutError:
        return False


def _answer_datagrams(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            data, sender = server.recvfrom(65535)
            if not data:
                return
            server.sendto(data, sender)


def _answer_streams(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            stream, _ = server.accept()
            threading.Thread(target=_answer_stream, args=(stream,), daemon=True).start()


def _answer_stream(stream: socket.socket) -> None:
    with stream, suppress(OSError):
        while data := stream.recv(65536):
            stream.sendall(data)


def _read_exactly(stream: socket.socket, size: int) -> bytes:
    parts, missing = [], size
    while missing > 0 and (part := stream.recv(min(missing, 1 << 20))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
