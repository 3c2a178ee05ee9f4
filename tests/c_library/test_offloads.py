"""On tc, checksums stay right for packets that only the device would finish: CHECKSUM_PARTIAL, GSO, paged headers.

Real TCP and UDP through a translating program, judged by the receiving kernel.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from inkev.bpf.link import Link
from inkev.bpf.program import AttachType
from tests.c_library.harness import Loaded
from tests.lab import Host, Lab

pytestmark = pytest.mark.kernel

VIRTUAL, VIRTUAL6, VIRTUAL_PORT, PORT = "10.77.0.99", "fd77::99", 8080, 80
PACKETS, GSO, BEYOND_LINEAR = range(3)
COUNTERS = 512 + 8 * (1 + 16 + 4)
EVERYWHERE, EVERYWHERE6 = "0.0.0.0", "::"  # noqa: S104 - in a namespace of the test's own
BULK = bytes(range(256)) * 16384
PACKET_VNET_HDR = 15
NEEDS_CHECKSUM = 1


@dataclass
class Translated:
    """A client whose traffic to the virtual address reaches the server."""

    client: Host
    server: Host
    loaded: Loaded

    def count(self, metric: int) -> int:
        """Return a metric of the program on its way out, over all CPUs."""
        block = self.loaded.maps["ikv_block"].find(bytes(4)) or b""
        at = COUNTERS + 8 * metric
        return sum(struct.unpack_from("=Q", block, start + at)[0] for start in range(0, len(block), 32768))


@pytest.fixture
def translated() -> Iterator[Translated]:
    with ExitStack() as stack:
        lab, loaded = stack.enter_context(Lab()), stack.enter_context(Loaded("translate", "tc"))
        client, server = lab.host("client"), lab.host("server")
        lab.wire(client, "eth0", server, "eth0", "10.77.0.1/24", "10.77.0.2/24", "fd77::1/64", "fd77::2/64")
        mac = server.mac("eth0")
        client.ip(*(f"neigh add {address} lladdr {mac} dev eth0 nud permanent" for address in (VIRTUAL, VIRTUAL6)))
        with client.inside():
            index = socket.if_nametoindex("eth0")
            for name, where in (("egress", AttachType.TCX_EGRESS), ("ingress", AttachType.TCX_INGRESS)):
                stack.callback(Link.attach(loaded.programs[name], index, where).close)
        yield Translated(client, server, loaded)


@pytest.mark.parametrize(("target", "listen"), [(VIRTUAL, EVERYWHERE), (VIRTUAL6, EVERYWHERE6)])
def test_bulk_tcp_is_translated_both_ways(translated: Translated, target: str, listen: str) -> None:
    with translated.server.echo(PORT, listen, socket.SOCK_STREAM):
        assert translated.client.connect(target, VIRTUAL_PORT, BULK) == BULK
    assert translated.count(GSO) > 0


@pytest.mark.parametrize(("target", "listen"), [(VIRTUAL, EVERYWHERE), (VIRTUAL6, EVERYWHERE6)])
def test_datagrams_are_translated_both_ways(translated: Translated, target: str, listen: str) -> None:
    with translated.server.echo(PORT, listen):
        assert translated.client.ask(target, VIRTUAL_PORT, b"odd number of bytes") == b"odd number of bytes"


@pytest.mark.parametrize("partial", [False, True])
def test_headers_beyond_the_linear_part_are_found(translated: Translated, partial: bool) -> None:
    client, server = translated.client, translated.server
    for host in (client, server):
        host.ip("link set eth0 mtu 9000")
    data = bytes(range(250)) * 20  # more than a page: the packet socket leaves only the link header in the linear part
    packet = Ether(src=client.mac("eth0"), dst=server.mac("eth0")) / IP(src="10.77.0.1", dst=VIRTUAL)
    frame = bytearray(bytes(packet / UDP(sport=4000, dport=VIRTUAL_PORT) / Raw(data)))
    if partial:
        frame[40:42] = pseudo_header_sum(bytes(frame))
    to_do = (NEEDS_CHECKSUM, 34, 6) if partial else (0, 0, 0)  # where the sum begins, and where in that it goes
    offload = struct.pack("=BBHHHH", to_do[0], 0, 14, 0, *to_do[1:])
    with server.open_socket() as receiver, client.packets("eth0") as sender:
        receiver.bind((EVERYWHERE, PORT))
        sender.setsockopt(263, PACKET_VNET_HDR, 1)  # SOL_PACKET
        sender.send(offload + bytes(frame))
        assert receiver.recv(65535) == data
    assert translated.count(BEYOND_LINEAR) == int(not partial)  # a sum to be made keeps its header linear


def pseudo_header_sum(frame: bytes) -> bytes:
    """Return what the checksum field holds while the device's part is still to come."""
    words = struct.unpack("!4H", frame[26:34])
    total = sum(words) + 17 + len(frame) - 34
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total.to_bytes(2, "big")
