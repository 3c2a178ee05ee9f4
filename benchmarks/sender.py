"""Sends frames out of an interface from a process of its own, at a rate or as fast as it goes.

    python -m benchmarks.sender NETNS_PATH IFINDEX RATE FRAMES_FILE

Frames leave by live-frame test runs: the kernel hands them to the device as its driver would. One batch is 64 frames.
Prints `ready`, sends until its standard input ends, then prints how many frames it sent and in how many seconds.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Self

from benchmarks.drive import set_traffic
from benchmarks.frames import FRAME_BYTES
from benchmarks.hosts import Port
from benchmarks.yardstick import loaded
from inkev.bpf.program import Program, ProgramType
from inkev.bpf.syscall import Command, bpf, buffer
from tests.lab import namespace

_TEST = Struct("=IIIIQQIIIIQQIII4x")
LIVE_FRAMES = 1 << 1
BATCH = 64
UNPACED = 500_000
PACED_SECONDS = 0.5
"""Length of one test run. Each costs the kernel some 20 ms to set up and tear down, so few and long ones."""


def send_live(program: Program, frame: bytes, count: int) -> None:
    """Send so many frames by the program, which writes and redirects each. Linux 5.18."""
    held = create_string_buffer(frame, len(frame))
    bpf(Command.PROG_TEST_RUN, buffer(_TEST.pack(program.fileno(), 0, len(frame), 0, addressof(held), 0, count, 0, 0, 0,
                                                 0, 0, LIVE_FRAMES, 0, BATCH)))


def _send_until_told(program: Program, frame: bytes, count: int) -> tuple[int, float]:
    """Send by test runs of so many frames until standard input ends; the time is that of the runs."""
    sent, seconds = 0, 0.0
    while not select.select([sys.stdin], [], [], 0)[0]:
        start = time.perf_counter()
        send_live(program, frame, count)
        seconds += time.perf_counter() - start
        sent += count
    return sent, seconds


def main(netns: Path, ifindex: int, rate: float, frames: Sequence[bytes]) -> None:
    """Send out of the interface until standard input ends; print what was sent."""
    interval_ns = round(1e9 / rate) if rate else 0
    with loaded("traffic_xdp.bpf.c", ProgramType.XDP) as traffic, namespace(netns):
        set_traffic(traffic, frames, ifindex, interval_ns)
        print("ready", flush=True)
        sent, seconds = _send_until_told(traffic.programs["send"], frames[0],
                                         round(rate * PACED_SECONDS) if rate else UNPACED)
    print(json.dumps({"sent": sent, "seconds": seconds}), flush=True)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender did."""

    packets: int
    seconds: float


class Sender:
    """A running sender; `stop` ends it, and so does the end of the block."""

    def __init__(self, port: Port, frames: Sequence[bytes], *, rate: float = 0, cpu: int = 1) -> None:
        with NamedTemporaryFile(prefix="ikvb-", suffix=".frames") as file:
            file.write(b"".join(frames))
            file.flush()
            self._process = subprocess.Popen(
                ["taskset", "--cpu-list", str(min(cpu, (os.cpu_count() or 1) - 1)), sys.executable, "-m",
                 "benchmarks.sender", str(port.host.path), str(port.ifindex), str(rate), file.name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if self._process.stdout is None or self._process.stdout.readline() != "ready\n":
                raise RuntimeError("the sender did not start")

    def stop(self) -> Sent:
        """End it and return what it sent."""
        output, _ = self._process.communicate()
        result = json.loads(output)
        return Sent(result["sent"], result["seconds"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


if __name__ == "__main__":
    everything = Path(sys.argv[4]).read_bytes()
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]),
         [everything[at : at + FRAME_BYTES] for at in range(0, len(everything), FRAME_BYTES)])
