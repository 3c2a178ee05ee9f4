"""A stream of numbered UDP datagrams between two hosts of the lab, and the count of what got lost, by number.

    with Stream(client, server, "10.0.0.2", rate=20_000) as stream:
        ...change things...
    assert stream.report.lost == []

Sender and receiver are processes of their own (this very file, run as a script), so that the test may keep its
interpreter busy.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from tests.lab import Host

QUIET_SECONDS = 0.3
"""The receiver has everything once nothing came for this long after the sender's last datagram."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the datagrams numbered 0 to `sent` - 1."""

    sent: int
    received: int
    lost: list[tuple[int, int]]
    """Runs of missing numbers: first and last."""
    repeated: int
    reordered: int
    elapsed_s: float

    @property
    def lost_count(self) -> int:
        """How many numbers never arrived."""
        return sum(last - first + 1 for first, last in self.lost)


class Stream:
    """Sends from entry to exit of the block; `report` stands afterwards."""

    def __init__(self, sender: Host, receiver: Host, target: str, *, port: int = 9000, rate: int = 10_000,
                 size: int = 22) -> None:
        """Make a stream that does not run yet.

        Args:
            sender: where it comes from.
            receiver: who counts.
            target: an address of the receiver.
            port: UDP, free at the receiver.
            rate: datagrams a second.
            size: payload bytes, at least 8.
        """
        self._ends = (sender, receiver)
        self._arguments = (target, str(port), str(rate), str(size))
        self.report = Report(0, 0, [], 0, 0, 0.0)

    def __enter__(self) -> Self:
        sender, receiver = self._ends
        self._receiving = receiver.start(sys.executable, "-S", __file__, "receive", *self._arguments)
        assert self._receiving.stdout is not None
        assert self._receiving.stdout.readline() == "ready\n"
        self._sending = sender.start(sys.executable, "-S", __file__, "send", *self._arguments)
        assert self._sending.stdout is not None
        assert self._sending.stdout.readline() == "ready\n"
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is not None:  # the block failed: there is nothing to report, and the ends may be gone already
            for process in (self._sending, self._receiving):
                process.kill()
                process.communicate()
            return
        sent = json.loads(_finish(self._sending, "stop\n"))
        counted = json.loads(_finish(self._receiving, f"{sent['sent']}\n"))
        self.report = Report(sent["sent"], counted["received"], [tuple(run) for run in counted["lost"]],
                             counted["repeated"], counted["reordered"], sent["elapsed"])


def _finish(process: subprocess.Popen[str], word: str) -> str:
    try:
        return process.communicate(word, timeout=30)[0]
    finally:
        process.kill()
        process.wait()


def _send(target: str, port: int, rate: int, size: int) -> None:
    """Send until a line comes on standard input, one at least; catches up after a pause by bursts of at most 32."""
    channel = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM)
    channel.connect((target, port))
    padding, number, begin = bytes(size - 8), 1, time.perf_counter()
    channel.send(bytes(size))
    print("ready", flush=True)
    while not number or not select.select([sys.stdin], [], [],
                                          max(0.0, begin + number / rate - time.perf_counter()))[0]:
        due = min(int((time.perf_counter() - begin) * rate) + 1, number + 32)
        while number < due:
            channel.send(number.to_bytes(8, "big") + padding)
            number += 1
    print(json.dumps({"sent": number, "elapsed": time.perf_counter() - begin}))


def _receive(target: str, port: int) -> None:
    """Count until the sender's total comes on standard input and everything arrived or all is quiet."""
    channel = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM)
    channel.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE: what is lost must be lost on the way
    channel.bind((target, port))
    print("ready", flush=True)
    seen, received, repeated, reordered, highest, total = bytearray(), 0, 0, 0, -1, -1
    inputs: list[object] = [channel, sys.stdin]
    while total < 0 or received < total:
        ready = select.select(inputs, [], [], QUIET_SECONDS)[0]
        if total >= 0 and not ready:
            break
        if sys.stdin in ready:
            total, inputs = int(sys.stdin.readline()), [channel]
        for number in _drain(channel) if channel in ready else ():
            if number >= len(seen):
                seen.extend(bytes(max(number + 1 - len(seen), 65536)))
            repeated += seen[number]
            received += 1 - seen[number]
            seen[number] = 1
            reordered += number < highest
            highest = max(highest, number)
    print(json.dumps({"received": received, "lost": _runs(seen, total), "repeated": repeated, "reordered": reordered}))


def _drain(channel: socket.socket) -> Iterator[int]:
    """Yield the numbers of up to 256 datagrams that wait."""
    for _ in range(256):
        try:
            yield int.from_bytes(channel.recv(65535, socket.MSG_DONTWAIT)[:8], "big")
        except BlockingIOError:
            return


def _runs(seen: bytearray, total: int) -> list[tuple[int, int]]:
    """Return the runs of numbers below `total` that were not seen."""
    runs, start = [], -1
    for number in range(total + 1):
        missing = number < total and not (number < len(seen) and seen[number])
        if missing and start < 0:
            start = number
        elif not missing and start >= 0:
            runs.append((start, number - 1))
            start = -1
    return runs


if __name__ == "__main__":
    if sys.argv[1] == "send":
        _send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        _receive(sys.argv[2], int(sys.argv[3]))
