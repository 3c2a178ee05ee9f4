"""Whatever LLVM does to its process, the caller gets an error that names the instances, and the next link works."""

from __future__ import annotations

import os
import platform
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from inkev.base.errors import UserError
from inkev.graph.partition import Pass
from inkev.host.linking import LinkedObject, Linker, LinkRequest
from inkev.toolchain import sandbox
from inkev.toolchain.includes import find_include_folder
from inkev.toolchain.linker import BitcodeLinker
from inkev.toolchain.messages import Order
from inkev.toolchain.process import Worker
from tests.toolchain import sources
from tests.toolchain.bench import chain, compile_source, member


def _order(folder: Path, source: str = sources.FORWARD) -> LinkRequest:
    return chain([member("fw", compile_source(folder, source))], Pass())


def test_it_is_the_linker_that_the_host_asks_for(linker: BitcodeLinker) -> None:
    as_protocol: Linker = linker
    assert as_protocol.digest is not None


def test_a_stack_that_is_too_large_ends_the_worker_and_nothing_else(tmp_path: Path, linker: BitcodeLinker) -> None:
    (tmp_path / "big.c").write_text(sources.BIG_STACK)
    command = [
        "clang",
        "-target",
        "bpf",
        "-O2",
        "-g",
        "-DIKV_HOOK_XDP",
        f"-I{find_include_folder()}",
        f"-I/usr/include/{platform.machine()}-linux-gnu",
        "-emit-llvm",
        "-c",
        "big.c",
        "-o",
        "big.bc",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)
    with pytest.raises(UserError) as refusal:
        linker.link(chain([member("fw", (tmp_path / "big.bc").read_bytes())], Pass()))
    assert refusal.value.code == "linker-died"
    assert "fw" in str(refusal.value)
    assert "stack" in refusal.value.faults[0].why
    assert linker.link(_order(tmp_path)).elf


def test_broken_bitcode_costs_an_error(tmp_path: Path, linker: BitcodeLinker) -> None:
    order = _order(tmp_path)
    chance = random.Random(7)
    outcomes = set()
    for _ in range(12):
        broken = bytearray(order.members[0].bitcode)
        for _ in range(4):
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        member_ = msgspec.structs.replace(order.members[0], bitcode=bytes(broken))
        try:
            linker.link(msgspec.structs.replace(order, members=(member_,)))
        except UserError as error:
            outcomes.add(error.code)
    assert outcomes <= {"cannot-be-linked", "linker-died", "no-such-entry", "unresolved-symbol"}
    assert linker.link(order).elf


def test_a_worker_that_does_not_answer_is_ended(tmp_path: Path) -> None:
    worker = Worker(seconds=0.05)
    try:
        with pytest.raises(UserError) as refusal:
            worker.link(Order(request=_order(tmp_path), digest="", pipeline="light-v3"))
        assert "not done" in refusal.value.faults[0].why
    finally:
        worker.stop()


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    linker = BitcodeLinker()
    try:
        linker.warm()
        pid = linker._worker._process.pid
        os.kill(pid, signal.SIGKILL)
        linker._worker._process.wait()
        assert linker.link(_order(tmp_path)).elf
    finally:
        linker.close()


FORBIDDEN = {
    "open for writing": "open('/tmp/ikvt-sandbox', 'w')",
    "open for reading": "open('/etc/passwd')",
    "network": "__import__('socket').socket()",
    "a new process": "os.fork()",
    "another program": "os.execv('/bin/true', ['true'])",
    "bpf": "raise_on(libc.syscall(321, 0, 0, 0))",
    "ptrace": "raise_on(libc.ptrace(0, 0, 0, 0))",
    "kill": "os.kill(os.getppid(), 0)",
    "root again": "os.setuid(0)",
}


@pytest.mark.kernel
@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_worker_may_not(what: str) -> None:
    script = f"""
import ctypes, os, socket
from inkev.toolchain import sandbox
from inkev.toolchain.includes import find_include_folder
libc = ctypes.CDLL(None, use_errno=True)
def raise_on(status):
    if status < 0:
        raise PermissionError(ctypes.get_errno(), 'refused')
libc.ptrace, libc.syscall
sandbox.confine()
try:
    {FORBIDDEN[what]}
except PermissionError:
    os.write(1, b'refused')
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"refused"


@pytest.mark.kernel
def test_the_worker_is_nobody(tmp_path: Path) -> None:
    linker = BitcodeLinker()
    try:
        linker.link(_order(tmp_path))
        status = Path(f"/proc/{linker._worker._process.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == [str(sandbox.NOBODY)] * 4
        assert (fields["NoNewPrivs"], fields["Seccomp"], int(fields["CapEff"], 16)) == ("1", "2", 0)
    finally:
        linker.close()


def test_a_linked_object_is_found_again_and_a_damaged_one_made_anew(tmp_path: Path, linker: BitcodeLinker) -> None:
    order = _order(tmp_path)
    first = BitcodeLinker(tmp_path / "cache")
    try:
        made = first.link(order)
        kept = next((tmp_path / "cache").rglob("*.linked"))
        raw = kept.read_bytes()
        found = _cached(tmp_path, order)
        assert found == made
        for damaged in (b"", raw[:-7], raw[:90] + b"!" + raw[91:]):
            kept.write_bytes(damaged)
            assert first.link(order).elf == made.elf
            assert kept.read_bytes() != damaged
    finally:
        first.close()


def _cached(folder: Path, order: LinkRequest) -> LinkedObject:
    """Link with a linker whose worker cannot be started: only the cache answers."""
    second = BitcodeLinker(folder / "cache")
    second._worker = None
    return second.link(order)


def test_the_digest_covers_all_that_goes_in(tmp_path: Path, linker: BitcodeLinker) -> None:
    order = _order(tmp_path)
    one = order.members[0]
    changes = {
        "config": b"1",
        "counters": 1024,
        "reasons": 9,
        "metrics": 9,
        "rodata": {"a": b"1"},
        "map_sizes": {"a": 1},
        "codes": {1: "drop"},
        "flood_ports": (1,),
        "seed": 3,
        "bitcode": one.bitcode + struct.pack("<I", 0),
    }
    digests = {linker.digest(order), linker.digest(order, "full-v3")}
    for name, value in changes.items():
        digests.add(
            linker.digest(msgspec.structs.replace(order, members=(msgspec.structs.replace(one, **{name: value}),)))
        )
    assert len(digests) == 2 + len(changes)
    elsewhere = msgspec.structs.replace(order, graph="other", members=(msgspec.structs.replace(one, source_root="/x"),))
    assert linker.digest(elsewhere) == linker.digest(order)
