"""The worker as its parent sees it: started on demand, given one order at a time, replaced when it dies.

A crash, a hang or a refusal of memory in LLVM costs one `linker-died` error and nothing else.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import IO

import msgspec

from inkev.base.errors import Faults, UserError
from inkev.base.limits import LINK_SECONDS
from inkev.host.linking import LinkedObject
from inkev.toolchain.messages import LENGTH, MESSAGE_BYTES, Answer, Order, describe_request, frame

_CHUNK = 1 << 20
_DIAGNOSTIC_BYTES = 4000
_ASSERTION = re.compile(r"^.*(Assertion `.*' failed)\.$", re.MULTILINE)
"""What LLVM says last in a build with assertions: behind the place in its own source."""


class WorkerDied(Exception):
    """The worker is gone; the text says how, with what LLVM said last."""


class Worker:
    """One worker process at a time."""

    def __init__(self, seconds: float = LINK_SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._diagnostics: IO[bytes] | None = None
        self._ending: weakref.finalize[[subprocess.Popen[bytes]], Worker] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the worker unless it runs; returns at once, while LLVM loads over there."""
        with self._lock:
            self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        self._diagnostics = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "inkev.toolchain.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._diagnostics,
            close_fds=True,
            start_new_session=True,
            cwd="/",
            env=_environment(),
        )
        # Whoever forgets to close a linker, or ends by an exception, leaves no process behind.
        self._ending = weakref.finalize(self, _end, self._process)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        os.set_blocking(self._process.stdout.fileno(), False)
        return self._process

    def link(self, order: Order) -> LinkedObject:
        """Return what the worker makes of an order.

        Raises:
            UserError: the order cannot be linked; `linker-died` where LLVM ended its process.
        """
        with self._lock:
            try:
                answer = self._ask(self._start(), frame(order))
            except WorkerDied as died:
                raise _death(order, died) from died
        if answer.linked is None:
            raise Faults(fault.fault() for fault in answer.faults)
        return answer.linked

    def _ask(self, process: subprocess.Popen[bytes], raw: bytes) -> Answer:
        deadline = time.monotonic() + self._seconds
        try:
            self._send(process, raw, deadline)
            (length,) = LENGTH.unpack(self._receive(process, LENGTH.size, deadline))
            if length > MESSAGE_BYTES:
                raise WorkerDied("it answered nonsense")
            return msgspec.msgpack.decode(self._receive(process, length, deadline), type=Answer)
        except (WorkerDied, BrokenPipeError, msgspec.DecodeError) as error:
            raise WorkerDied(self._last_words(process, str(error))) from error

    def _send(self, process: subprocess.Popen[bytes], raw: bytes, deadline: float) -> None:
        assert process.stdin is not None
        rest = memoryview(raw)
        while rest:
            self._wait([], [process.stdin.fileno()], deadline)
            rest = rest[os.write(process.stdin.fileno(), rest[:_CHUNK]) :]

    def _receive(self, process: subprocess.Popen[bytes], count: int, deadline: float) -> bytes:
        assert process.stdout is not None
        parts: list[bytes] = []
        while count:
            self._wait([process.stdout.fileno()], [], deadline)
            part = os.read(process.stdout.fileno(), min(count, _CHUNK))
            if not part:
                raise WorkerDied("")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _wait(self, readable: list[int], writable: list[int], deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0 or select.select(readable, writable, [], left) == ([], [], []):
            raise WorkerDied(f"it was not done after {self._seconds:g} seconds")

    def _last_words(self, process: subprocess.Popen[bytes], how: str) -> str:
        if how.startswith("it "):
            process.kill()
        status = process.wait()
        ending = signal.Signals(-status).name if status < 0 else f"status {status}"
        said = ""
        if self._diagnostics is not None:
            self._diagnostics.seek(max(0, self._diagnostics.seek(0, os.SEEK_END) - _DIAGNOSTIC_BYTES))
            said = _ASSERTION.sub(r"\1", self._diagnostics.read().decode(errors="replace").strip())
        self._stop()
        return "\n".join(
            part for part in (how if how.startswith("it ") else f"the linker ended with {ending}", said) if part
        )

    def _stop(self) -> None:
        if self._ending is not None:
            self._ending()
        if self._diagnostics is not None:
            self._diagnostics.close()
        self._process = self._diagnostics = self._ending = None

    def stop(self) -> None:
        """End the worker."""
        with self._lock:
            self._stop()


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.kill()
    process.wait()


def _environment() -> dict[str, str]:
    # The parent's import path goes along, for a checkout that is not installed; never its working directory.
    here = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([here, *(entry for entry in sys.path if Path(entry).is_absolute())])
    return {"PYTHONPATH": path, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def _death(order: Order, died: WorkerDied) -> UserError:
    return UserError(
        "linker-died",
        f"LLVM gave up on {describe_request(order.request)}",
        where=", ".join(dict.fromkeys(member.instance for member in order.request.members)),
        why=str(died),
        hint="put a stitch point between them so that fewer are linked together, or rebuild the packages"
        if len(order.request.members) > 1
        else "the package is at fault: ask its author; inkev check shows the same",
    )
