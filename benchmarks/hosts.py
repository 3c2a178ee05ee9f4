"""Network namespaces joined by veths, for as long as a benchmark lasts."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

PREFIX = "ikvb"
SOURCE, EDGE, SINK = f"{PREFIX}-src", f"{PREFIX}-edge", f"{PREFIX}-dst"
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_SIOCETHTOOL, _ETHTOOL_SGRO = 0x8946, 0x2C
_REQUEST, _SETTING = Struct("=16sQ16x"), Struct("=II")
COUNTED = ("rx_dropped", "tx_dropped", "rx_errors", "tx_errors")


def _set_namespace(fd: int) -> None:
    if _LIBC.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def entered(netns: str) -> Iterator[None]:
    """Let this thread be in the namespace for the length of the block; bpffs stays visible."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _set_namespace(there)
        try:
            yield
        finally:
            _set_namespace(home)
    finally:
        os.close(there)
        os.close(home)


def ip(commands: str, netns: str = "") -> None:
    """Run `ip` commands, one a line, in the namespace."""
    where = ["-netns", netns] if netns else []
    subprocess.run(["ip", *where, "-batch", "-"], input=commands, text=True, check=True, capture_output=True)


def sysctl(netns: str, **values: int) -> None:
    """Set net.* values in the namespace; a double underscore stands for a slash."""
    with entered(netns):
        for name, value in values.items():
            (Path("/proc/sys/net") / name.replace("__", "/")).write_text(str(value))


@dataclass(frozen=True, slots=True)
class Port:
    """One end of a veth."""

    netns: str
    name: str
    mac: str
    ifindex: int

    def drops(self) -> int:
        """Return the packets that the device itself says it lost."""
        with entered(self.netns):
            return sum(int(value) for value in _link_counters(self.name, COUNTED))

    def use_napi(self) -> None:
        """Turn GRO on, without which a veth without a program takes no frames that XDP sends it."""
        setting = ctypes.create_string_buffer(_SETTING.pack(_ETHTOOL_SGRO, 1))
        with entered(self.netns), socket.socket() as channel:
            fcntl.ioctl(channel, _SIOCETHTOOL, _REQUEST.pack(self.name.encode(), ctypes.addressof(setting)))

    def received(self) -> int:
        """Return the packets that the device received."""
        with entered(self.netns):
            return int(_link_counters(self.name, ("rx_packets",))[0])


def _link_counters(name: str, wanted: tuple[str, ...]) -> list[str]:
    """Read /proc/net/dev, which follows the thread's namespace (/sys/class/net follows its mount)."""
    columns = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "_", "_", "_", "_", "tx_bytes", "tx_packets",
               "tx_errors", "tx_dropped")
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
        label, _, figures = line.partition(":")
        if label.strip() == name:
            found = dict(zip(columns, figures.split(), strict=False))
            return [found[column] for column in wanted]
    raise FileNotFoundError(name)


def _port(netns: str, name: str, mac: str) -> Port:
    with entered(netns):
        return Port(netns, name, mac, _LIBC.if_nametoindex(name.encode()))


@dataclass(frozen=True, slots=True)
class Line:
    """source -- edge -- sink: what is forwarded goes in at `wan` and out at `lan`."""

    source: Port
    wan: Port
    lan: Port
    sink: Port


MACS = {"s0": "02:1b:00:00:00:01", "wan": "02:1b:00:00:00:02", "lan": "02:1b:00:00:00:03", "d0": "02:1b:00:00:00:04"}


def remove(*namespaces: str) -> None:
    """Remove the namespaces that are there, and all devices in them."""
    for name in namespaces:
        with suppress(subprocess.CalledProcessError):
            subprocess.run(["ip", "netns", "del", name], check=True, capture_output=True)


@contextmanager
def namespaces(*names: str) -> Iterator[None]:
    """Make the namespaces for the length of the block."""
    remove(*names)
    try:
        ip("".join(f"netns add {name}\n" for name in names))
        for name in names:
            ip("link set lo up\n", name)
            sysctl(name, ipv6__conf__all__disable_ipv6=1, ipv6__conf__default__disable_ipv6=1)
        yield
    finally:
        remove(*names)


@contextmanager
def line() -> Iterator[Line]:
    """Build the line: 10.1.0.0/16 behind wan, 10.2.0.0/16 behind lan, neighbours written by hand."""
    with namespaces(SOURCE, EDGE, SINK):
        ip(f"link add s0 netns {SOURCE} address {MACS['s0']} type veth peer name wan netns {EDGE} address {MACS['wan']}\n"
           f"link add d0 netns {SINK} address {MACS['d0']} type veth peer name lan netns {EDGE} address {MACS['lan']}\n")
        _address(SOURCE, "s0", "10.1.0.1/16", "10.1.255.254", MACS["wan"], "10.2.0.0/16")
        _address(SINK, "d0", "10.2.0.1/16", "10.2.255.254", MACS["lan"], "10.1.0.0/16")
        ip("address add 10.1.255.254/16 dev wan\naddress add 10.2.255.254/16 dev lan\n"
           "link set wan up\nlink set lan up\n"
           f"neighbour replace 10.1.0.1 lladdr {MACS['s0']} dev wan nud permanent\n"
           f"neighbour replace 10.2.0.1 lladdr {MACS['d0']} dev lan nud permanent\n", EDGE)
        sysctl(EDGE, ipv4__ip_forward=1, ipv4__conf__all__rp_filter=0, ipv4__conf__wan__rp_filter=0)
        yield Line(_port(SOURCE, "s0", MACS["s0"]), _port(EDGE, "wan", MACS["wan"]), _port(EDGE, "lan", MACS["lan"]),
                   _port(SINK, "d0", MACS["d0"]))


def _address(netns: str, device: str, address: str, gateway: str, gateway_mac: str, beyond: str) -> None:
    ip(f"address add {address} dev {device}\nlink set {device} up\n"
       f"neighbour replace {gateway} lladdr {gateway_mac} dev {device} nud permanent\n"
       f"route add {beyond} via {gateway}\n", netns)
