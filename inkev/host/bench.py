"""A test bench: one freshly configured instance in a graph that nothing is attached to, entered by test runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from inkev.base.errors import InkevError
from inkev.base.limits import BLOCK_HEADER_BYTES, COMMON_REASONS
from inkev.graph.model import ProgramType
from inkev.graph.partition import Drop, Exit, Segment, Step
from inkev.host.kernel import Kernel, SegmentLoad
from inkev.host.linking import LinkedObject, Linker, LinkRequest, Member
from inkev.host.members import make_member
from inkev.host.refusals import LADDER, LADDER_CODES
from inkev.package.foreign import Entries, initial_entries, sized
from inkev.package.layout import Layout, MapLayout
from inkev.package.manifest import HookKind, Manifest
from inkev.package.packet_tests import PacketTest, entry_ports, exit_ports, expected_bytes, find_reason
from inkev.package.packet_tests import Step as PacketStep
from inkev.package.packets import describe_difference, parse_packet
from inkev.package.verdicts import reason_names, split_verdict

GRAPH = "check"
INSTANCE = "nf"
GENERATION = 1
BENCH_INTERFACE = 1
"""Index of every interface that an option names: nothing is attached, so any will do."""
SEED = 0x696E6B6576
"""Time and random are functions of it in packet tests, so that a test gives the same result every time."""


@dataclass(frozen=True, slots=True)
class Built:
    """A program as `inkev build` left it."""

    layout: Layout
    bitcode: bytes


@dataclass(frozen=True, slots=True)
class Subject:
    """A built package: what is put on the bench."""

    manifest: Manifest
    built: tuple[Built, ...]
    source_root: str = ""

    def hooks(self) -> tuple[HookKind, ...]:
        """Return the hook types that programs are built for."""
        return tuple(dict.fromkeys("xdp" if unit.layout.hook == "xdp" else "tc" for unit in self.built))

    def of_hook(self, hook: HookKind) -> tuple[Built, ...]:
        """Return the programs built for a hook type."""
        return tuple(unit for unit in self.built if unit.layout.hook == hook)

    def program(self, port: str) -> str:
        """Return the program that a packet entering by the port runs."""
        return self.manifest.ports[port].program or next(iter(self.manifest.programs))

    def entries(self, hook: HookKind) -> tuple[str, ...]:
        """Return the ports that packets can enter by on a hook type."""
        programs = {unit.layout.program for unit in self.of_hook(hook)}
        return tuple(port for port in entry_ports(self.manifest) if self.program(port) in programs)


@dataclass(slots=True)
class Bench:
    """The instance; use `open_bench`, which leaves nothing behind."""

    linker: Linker
    kernel: Kernel
    subject: Subject
    hook: HookKind
    config: Mapping[str, object] = field(default_factory=dict)

    def load(self, port: str) -> int:
        """Load the program that packets entering by `port` run; return how many instructions the verifier looked at."""
        request = self._request(port)
        for pipeline in LADDER:
            try:
                return self._load(port, self.linker.link(request, pipeline))
            except InkevError as error:
                if error.code not in LADDER_CODES or pipeline == LADDER[-1]:
                    raise
        raise AssertionError("the ladder has a last rung")

    def _load(self, port: str, linked: LinkedObject) -> int:
        segment = SegmentLoad(
            key=_key(port),
            program_type=_program_type(self.hook),
            object=linked,
            layouts={INSTANCE: self._layouts()},
            entries={INSTANCE: self._entries()},
        )
        return self.kernel.load(GRAPH, GENERATION, segment).verified_instructions

    def run(self, test: PacketTest) -> list[str]:
        """Run every step; return what differed from what the test expects."""
        manifest = self.subject.manifest
        default = entry_ports(manifest)[0]
        for port in dict.fromkeys(step.in_port or default for step in test.steps):
            self.load(port)
        for name, rows in test.tables.items():
            self.kernel.table(GRAPH, INSTANCE, manifest.tables[name], self._layouts()).load(rows)
        return [
            f"step {number}: {line}"
            for number, step in enumerate(test.steps, 1)
            for line in self._step(step, step.in_port or default)
        ]

    def _step(self, step: PacketStep, port: str) -> Iterator[str]:
        verdict, got, _ns = self.kernel.test_run(GRAPH, GENERATION, _key(port), parse_packet(step.packet))
        yield from _verdict_difference(step, verdict, self.subject.manifest)
        wanted = expected_bytes(step)
        if wanted is not None and wanted != got:
            yield from describe_difference(wanted, got)
        counted = self._metrics() if step.metrics else {}
        for name, value in step.metrics.items():
            if counted[name] != value:
                yield f"metric {name}: expected {value}, got {counted[name]}"

    def _metrics(self) -> dict[str, int]:
        manifest = self.subject.manifest
        offset = BLOCK_HEADER_BYTES + 8 * (1 + COMMON_REASONS + len(manifest.reasons))
        values = self.kernel.read_counters(GRAPH, offset, len(manifest.metrics))
        return dict(zip(manifest.metrics, values, strict=True))

    def _layouts(self) -> dict[str, MapLayout]:
        programs = self.subject.manifest.programs
        units = [sized(unit.layout, programs[unit.layout.program]) for unit in self.subject.of_hook(self.hook)]
        return {found.name: found for layout in units for found in layout.maps}

    def _entries(self) -> dict[str, Entries]:
        programs = self.subject.manifest.programs.values()
        return {name: entries for program in programs for name, entries in initial_entries(program).items()}

    def _request(self, port: str) -> LinkRequest:
        manifest = self.subject.manifest
        numbers = {name: number for number, name in enumerate(manifest.ports)}
        program = self.subject.program(port)
        units = [unit for unit in self.subject.of_hook(self.hook) if unit.layout.program == program]
        segment = Segment(
            key="",  # a name, not part of what is linked
            program_type=_program_type(self.hook),
            head=Step(INSTANCE, numbers[port]),
            fresh=True,
            members=(INSTANCE,),
            # Not followed: they say which ports lead out, so that a foreign program's "go on" has its one port.
            exits=tuple(Exit(INSTANCE, numbers[name], Drop("unwired")) for name in exit_ports(manifest)),
            raw_verdicts=True,
        )
        return LinkRequest(
            graph=GRAPH,
            segment=segment,
            members=tuple(self._member(unit) for unit in units),
            entries={f"{INSTANCE}:{numbers[name]}": self.subject.program(name) for name in entry_ports(manifest)},
        )

    def _member(self, unit: Built) -> Member:
        return make_member(
            self.subject.manifest,
            unit.layout,
            unit.bitcode,
            instance=INSTANCE,
            config=self.config,
            counters=BLOCK_HEADER_BYTES,
            seed=SEED,
            source_root=self.subject.source_root,
            find_interface=lambda _name: BENCH_INTERFACE,
        )


@contextmanager
def open_bench(
    linker: Linker, kernel: Kernel, subject: Subject, hook: HookKind, config: Mapping[str, object] | None = None
) -> Iterator[Bench]:
    """Lend a bench; afterwards, whatever happened on it, the kernel holds nothing of it."""
    kernel.open_graph(GRAPH)
    try:
        kernel.stage(GRAPH, GENERATION)
        yield Bench(linker, kernel, subject, hook, config or {})
    finally:
        kernel.retire(GRAPH, GENERATION)
        kernel.drop_instance(GRAPH, INSTANCE)
        kernel.remove_graph(GRAPH)


def _key(port: str) -> str:
    return f"{INSTANCE}:{port}"


def _program_type(hook: HookKind) -> ProgramType:
    return "xdp" if hook == "xdp" else "tc"


def _verdict_difference(step: PacketStep, number: int, manifest: Manifest) -> Iterator[str]:
    kind, argument = split_verdict(number)
    wanted: int | None = None
    if step.verdict == "drop" and step.reason:
        wanted = find_reason(step.reason, manifest)
    elif step.verdict == "forward" and step.port:
        wanted = list(manifest.ports).index(step.port)
    if kind == step.verdict and wanted in {None, argument}:
        return
    expected = step.verdict if wanted is None else _verdict_text(step.verdict, wanted, manifest)
    yield f"verdict: expected {expected}, got {_verdict_text(kind, argument, manifest)}"


def _verdict_text(kind: str, argument: int, manifest: Manifest) -> str:
    if kind == "drop":
        return f"drop ({reason_names(tuple(manifest.reasons)).get(argument, f'reason {argument}')})"
    if kind == "forward":
        ports = list(manifest.ports)
        return f"forward ({ports[argument] if argument < len(ports) else f'port {argument}'})"
    return kind
