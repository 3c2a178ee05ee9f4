"""One TCP flow as fast as its end points go, from one host to another."""

from __future__ import annotations

import multiprocessing
import socket
import time
from pathlib import Path

from tests.lab import Host, namespace

CHUNK = 1 << 20
PORT = 5001
SECONDS = 3.0


def _send(netns: Path, address: str, seconds: float) -> None:
    chunk = memoryview(bytes(CHUNK))
    with namespace(netns), socket.create_connection((address, PORT), timeout=10) as connection:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            connection.sendall(chunk)


def gigabits_per_second(source: Host, sink: Host, address: str, seconds: float = SECONDS) -> float:
    """Return what one flow from `source` to `address`, which is the sink's, carries."""
    with sink.inside():
        listener = socket.create_server((address, PORT))
    sender = multiprocessing.get_context("spawn").Process(target=_send, args=(source.path, address, seconds))
    with listener:
        listener.settimeout(15)
        sender.start()
        try:
            connection, _ = listener.accept()
            return _receive(connection)
        finally:
            sender.join()


def _receive(connection: socket.socket) -> float:
    """Read until the other side closes; the first 64 MiB warm up and do not count."""
    buffer, total, counted, start = bytearray(CHUNK), 0, 0, 0.0
    with connection:
        while count := connection.recv_into(buffer):
            total += count
            if start:
                counted += count
            elif total >= 64 * CHUNK:
                start = time.perf_counter()
        return counted * 8e-9 / (time.perf_counter() - start)
