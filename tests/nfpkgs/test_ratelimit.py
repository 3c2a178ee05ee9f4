"""ratelimit with the kernel's own clock: what passes in a while is the burst and what the rate allows, on any CPUs."""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from inkev.graph.partition import Pass
from inkev.toolchain.linker import BitcodeLinker
from tests.nfpkgs.kit import Edge, Star
from tests.stream import Stream
from tests.toolchain.bench import Loaded, chain, compile_source, loaded, member

pytestmark = pytest.mark.kernel

SOURCE = Path(__file__).parents[2] / "nfpkgs" / "ratelimit" / "src" / "ratelimit.bpf.c"
FRAME = bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2))
RATE, BURST_NS = 20_000, 5_000_000
PACKETS = 1 << 63
PASSED, LIMITED = 0, 2
ROUND = 20_000


def metric(run: Loaded, number: int) -> int:
    return run.counter(512 + 8 * (1 + 16 + number))


def hammer(run: Loaded, cpu: int, until: float) -> None:
    """Run packets on one CPU for a while; the call leaves Python's lock to the others."""
    os.sched_setaffinity(threading.get_native_id(), {cpu})
    while time.monotonic() < until:
        run.run(FRAME, repeat=ROUND)


def test_two_cpus_share_one_bucket(tmp_path: Path) -> None:
    linker = BitcodeLinker()
    code = compile_source(tmp_path, SOURCE.read_text(), entry="limit_rate")
    config = struct.pack("=QQII", RATE | PACKETS, BURST_NS, 0, 0)
    one = member("calm", code, entry="limit_rate", reasons=0, metrics=5, config=config)
    try:
        linked = linker.link(chain([one], Pass()))
    finally:
        linker.close()
    with loaded(linked) as run:
        started = time.monotonic()
        cpus = sorted(os.sched_getaffinity(0))[:2]
        threads = [threading.Thread(target=hammer, args=(run, cpu, started + 0.2)) for cpu in cpus]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.monotonic() - started
        passed, limited = metric(run, PASSED), metric(run, LIMITED)
        assert run.packets(0) == passed + limited
        assert limited > passed
        burst = RATE * BURST_NS / 1e9
        assert burst <= passed <= RATE * elapsed + burst + 2  # how much more than the burst is the machine's affair


def test_of_a_stream_between_hosts_the_configured_rate_passes(star: Star, edge: Edge) -> None:
    config = 'config = { rate = "500pps", burst = "100ms" }'
    edge.stitch("ratelimit", '"wan -> in:nf:out -> lan", "lan -> wan"', config, wan="ikvt0", lan="ikvt1")
    sender, receiver = star.hosts[:2]
    assert sender.ping("10.9.0.2", count=1, timeout=1.0) == 1  # ARP is nobody's packet
    stream = Stream(sender, receiver, "10.9.0.2", rate=2_000)
    with stream:
        select.select([], [], [], 1.0)
    report = stream.report
    expected = 500 * report.elapsed_s + 50
    assert report.sent > 1.15 * expected
    assert 0.5 * expected < report.received < 1.15 * expected
    assert edge.status().drops == {"rate": edge.status().metrics["limited"]}
    assert edge.status().metrics["limited"] == report.lost_count
