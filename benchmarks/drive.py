"""What a program costs a packet: test runs behind a driver that writes a fresh frame first.

The same is done with an empty program, and subtracted: what is left is the program's own. Runs of the two alternate
and the least of each counts, for whatever else the machine does only ever adds. The clock is the thread's own: time
that other processes get is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from struct import Struct

from benchmarks.yardstick import Yardstick, loaded
from inkev.bpf.program import AttachType, Program, ProgramType

_SETTINGS = Struct("=IIIIQ")
RUNS = 50_000
ROUNDS = 15

XDP_PASS, XDP_TX, XDP_REDIRECT = 2, 3, 4
TC_OK, TC_SHOT, TC_REDIRECT = 0, 2, 7


@dataclass(frozen=True, slots=True)
class Cost:
    """Nanoseconds a packet beyond an empty program."""

    hot_ns: float
    """The same packet again and again."""
    varied_ns: float
    """Many different packets in turn."""


class WrongVerdictError(AssertionError):
    """The program did something else than what was to be measured."""


def set_traffic(traffic: Yardstick, frames: Sequence[bytes], out_ifindex: int = 0, interval_ns: int = 0) -> None:
    """Let the driver or sender write these frames in turn, from the first; the sender at the interval."""
    traffic.maps["frames"].update_all((index.to_bytes(4, "little"), frame) for index, frame in enumerate(frames))
    turn(traffic, len(frames), out_ifindex, interval_ns)


def turn(traffic: Yardstick, frames: int, out_ifindex: int = 0, interval_ns: int = 0) -> None:
    """Let the first so many of the frames take turns."""
    traffic.maps["settings"].update(bytes(4), _SETTINGS.pack(frames, out_ifindex, 0, interval_ns, 0))


class Driver:
    """Runs programs of one type behind `drive`."""

    def __init__(self, traffic: Yardstick) -> None:
        self._traffic = traffic
        self._drive = traffic.programs["drive"]
        self._empty = traffic.programs["empty"]

    def verdict(self, program: Program, frame: bytes, context: bytes = b"") -> int:
        """Return what the kernel gets from the program for this frame."""
        set_traffic(self._traffic, [frame])
        self._traffic.maps["target"].point(0, program)
        return self._drive.test_run(frame, context=context).verdict

    def cost(self, program: Program, frames: Sequence[bytes], expected: int, context: bytes = b"") -> Cost:
        """Return what the program costs on the first frame and over all of them.

        Args:
            program: what is measured; it may write to the packet.
            frames: of equal length, at least 64 bytes.
            expected: the verdict that every frame must get, so that what is measured is what was meant.
            context: struct xdp_md or __sk_buff to start with.

        Raises:
            WrongVerdictError: a frame got another verdict.
        """
        for each in (frames[0], frames[len(frames) // 2], frames[-1]):
            if (verdict := self.verdict(program, each, context)) != expected:
                raise WrongVerdictError(f"verdict {verdict} where {expected} was expected")
        set_traffic(self._traffic, frames)
        return Cost(self._difference(program, 1, frames[0], context),
                    self._difference(program, len(frames), frames[0], context))

    def _difference(self, program: Program, frames: int, buffer: bytes, context: bytes) -> float:
        turn(self._traffic, frames)
        own, empty = [], []
        for _ in range(ROUNDS):
            own.append(self._run(program, buffer, context))
            empty.append(self._run(self._empty, buffer, context))
        return min(own) - min(empty)

    def _run(self, program: Program, buffer: bytes, context: bytes) -> float:
        self._traffic.maps["target"].point(0, program)
        start = time.thread_time_ns()
        self._drive.test_run(buffer, repeat=RUNS, context=context)
        return (time.thread_time_ns() - start) / RUNS


@contextmanager
def driver(kind: ProgramType, attach: AttachType | None = None) -> Iterator[Driver]:
    """Load the driver for programs of this type; their expected attach type must be the driver's."""
    source = "traffic_xdp.bpf.c" if kind is ProgramType.XDP else "traffic_tc.bpf.c"
    with loaded(source, kind, attach=attach) as traffic:
        yield Driver(traffic)
