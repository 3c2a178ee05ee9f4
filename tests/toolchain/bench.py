"""Compiles small C sources, links them, loads the object with maps of its own, and runs it on packets."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from inkev.bpf.libbpf import Object
from inkev.bpf.maps import Map
from inkev.bpf.program import AttachType, Program, ProgramType, TestRun
from inkev.graph.partition import Exit, Segment, Step, Target
from inkev.host.linking import LinkedObject, LinkRequest, Member
from inkev.package.manifest import Manifest, Package
from inkev.package.manifest import Program as Declared
from inkev.toolchain.build import build_package
from inkev.toolchain.includes import find_include_folder

TYPES = {"xdp": (ProgramType.XDP, AttachType.XDP), "tc": (ProgramType.SCHED_CLS, AttachType.NONE)}
XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT = 1, 2, 3, 4
TC_UNSPEC, TC_SHOT, TC_REDIRECT = -1, 2, 7
_compiled: dict[tuple[str, str, str, str], bytes] = {}
COUNTERS = 512
REGION = 8 * 64


def _manifest(program: Declared) -> Manifest:
    package = Package(name="nf", version="1.0", summary="for tests", license="GPL-2.0-only OR BSD-2-Clause")
    return Manifest(schema=1, package=package, programs={"main": program})


def compile_source(folder: Path, source: str, hook: str = "xdp", dialect: str = "inkev", entry: str = "nf") -> bytes:
    """Return the bitcode that `inkev build` makes of a C source; the same source is compiled once a session."""
    known = (source, hook, dialect, entry)
    if known not in _compiled:
        (folder / "nf.bpf.c").write_text(source)
        declared = Declared(dialect=dialect, file="nf.bpf.c", entry=entry, hooks=(hook,))
        build_package(folder, _manifest(declared), include=find_include_folder(), force=True)
        _compiled[known] = (folder / "build" / f"main.{hook}.bc").read_bytes()
    return _compiled[known]


def member(instance: str, bitcode: bytes, place: int = 0, **more: object) -> Member:
    """Return a member whose counters are the region of that place."""
    given = {
        "program": "main",
        "dialect": "inkev",
        "entry": "nf",
        "counters": COUNTERS + REGION * place,
        "reasons": 4,
        "metrics": 4,
    } | more
    return Member(instance=instance, bitcode=bitcode, **given)


def chain(members: list[Member], last: Target, hook: str = "xdp", **more: object) -> LinkRequest:
    """Return members one behind the other, each by port 0; the last one's port 0 leads to `last`."""
    names = [one.instance for one in members]
    exits = [Exit(here, 0, Step(there, 0)) for here, there in pairwise(names)]
    return request(members, [*exits, Exit(names[-1], 0, last)], hook, **more)


def request(members: list[Member], exits: list[Exit], hook: str = "xdp", **more: object) -> LinkRequest:
    """Return a segment of these members and exits; the first member is the head."""
    entries = more.pop("entries", {})
    given = {"head": Step(members[0].instance, 0), "fresh": True} | more
    names = tuple(dict.fromkeys(one.instance for one in members))
    segment = Segment(key="hook:ikvt", program_type=hook, members=names, exits=tuple(exits), **given)
    return LinkRequest(graph="ikvt", segment=segment, members=tuple(members), entries=entries)


@dataclass
class Loaded:
    """A loaded segment and its maps by symbol."""

    program: Program
    maps: dict[str, Map]
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def run(self, packet: bytes, repeat: int = 1) -> TestRun:
        """Run it; the verdict is signed."""
        done = self.program.test_run(packet, repeat=repeat)
        verdict = done.verdict - (1 << 32) if done.verdict >> 31 else done.verdict
        return TestRun(verdict, done.packet, done.context, done.duration_ns)

    def counter(self, offset: int) -> int:
        """Return a counter of the block, summed over CPUs."""
        raw = self.maps[".bss.ikv_block"].find(bytes(4))
        assert raw is not None
        return sum(struct.unpack_from("<Q", raw, start + offset)[0] for start in range(0, len(raw), 32768))

    def packets(self, place: int) -> int:
        """Return how many packets the member at a place has seen."""
        return self.counter(COUNTERS + REGION * place)

    def drops(self, place: int, reason: int) -> int:
        """Return how many it dropped for a reason."""
        return self.counter(COUNTERS + REGION * place + 8 * (1 + reason))

    def graph_drops(self, reason: int) -> int:
        """Return how many the graph dropped for a reason."""
        return self.counter(128 + 8 * reason)

    def set_device(self, number: int, ifindex: int) -> None:
        """Write an entry of the device array."""
        devices = self.maps[".data.ikv_devices"]
        raw = bytearray(devices.find(bytes(4)) or b"")
        struct.pack_into("<I", raw, 4 * number, ifindex)
        devices.update(bytes(4), bytes(raw))


@contextlib.contextmanager
def loaded(linked: LinkedObject, hook: str = "xdp", reuse: dict[str, Map] | None = None) -> Iterator[Loaded]:
    """Load an object, with maps of its own but for those given."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(Object.open(linked.elf))
        for one in opened.iter_maps():
            if one.name in (reuse or {}):
                one.reuse(reuse[one.name])
        opened.load(*TYPES[hook])
        maps = {one.name: stack.enter_context(one.take()) for one in opened.iter_maps()}
        yield Loaded(stack.enter_context(opened.take_program("segment")), maps)
