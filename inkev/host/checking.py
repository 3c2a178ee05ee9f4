"""`inkev check`: whether a package is what it should be, as far as one machine can tell before it is published.

Manifest, build, permission audit, a dry load of every program, and the package's packet tests on the kernel. The caller
gives a Kernel over a root that is thrown away afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from inkev.base.errors import Fault, InkevError, UserError
from inkev.graph.expansion import read_subgraph
from inkev.host.bench import Built, Subject, open_bench
from inkev.host.kernel import Kernel
from inkev.host.linking import Linker
from inkev.package.audit import audit_layout
from inkev.package.configuration import missing_fields
from inkev.package.layout import Layout
from inkev.package.manifest import HookKind, Manifest
from inkev.package.packet_tests import PacketTest, read_packet_tests
from inkev.package.reading import read_package

Say = Callable[[str], None]


class Builder(Protocol):
    """Compiles a package folder: writes `build/PROGRAM.HOOK.bc` and `build/PROGRAM.HOOK.json` for each program."""

    def __call__(self, folder: Path, libraries: Sequence[Path] = ()) -> object:
        """Build every program for each of its hook types; `libraries` are include folders of what it requires.

        Raises:
            UserError: a source does not compile, at the author's line.
        """
        ...


class ProgramCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One program for one hook type, loaded into the kernel and taken out again."""

    program: str
    hook: str
    port: str
    """The port that packets enter it by."""
    verified_instructions: int = 0
    faults: tuple[Fault, ...] = ()


class TestCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One packet test on one hook type."""

    name: str
    file: str
    hook: str
    failures: tuple[str, ...] = ()
    """What differed, step by step; empty where the test passed."""


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was looked at."""

    package: str
    version: str
    kind: str
    faults: tuple[Fault, ...] = ()
    """What the audit and the reading of parts found."""
    programs: tuple[ProgramCheck, ...] = ()
    tests: tuple[TestCheck, ...] = ()
    warnings: tuple[str, ...] = ()
    passed: bool = True


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks packages with the parts given to it."""

    build: Callable[[Path], object]
    linker: Linker
    kernel: Kernel

    def check(self, folder: Path, say: Say = lambda _text: None) -> CheckReport:
        """Return what is right and wrong with the package in `folder`.

        Raises:
            InkevError: it cannot be read or built, so that there is nothing to check.
        """
        say("reading the manifest")
        manifest, folder = read_package(folder)
        tests = read_packet_tests(folder, manifest)
        if manifest.package.kind != "function":
            return _judge(manifest, faults=_check_subgraph(manifest))
        self.kernel.preflight(manifest.requires.kernel)
        say("building")
        self.build(folder)
        subject = Subject(manifest, read_built(folder, manifest), str(folder))
        faults = [fault for unit in subject.built for fault in audit_layout(unit.layout, manifest.permissions)]
        faults += _check_shared(subject)
        say("loading every program")
        programs = tuple(self._load_all(subject))
        results = () if any(program.faults for program in programs) else tuple(self._run_all(tests, subject, say))
        return _judge(
            manifest, faults=tuple(faults), programs=programs, tests=results, warnings=_warnings(subject, tests)
        )

    def _load_all(self, subject: Subject) -> Iterator[ProgramCheck]:
        for hook in subject.hooks():
            # One port for each program: entered by another it is the same code with another constant.
            for port in {subject.program(port): port for port in reversed(subject.entries(hook))}.values():
                yield self._load(subject, hook, port)

    def _load(self, subject: Subject, hook: HookKind, port: str) -> ProgramCheck:
        program = subject.program(port)
        try:
            with open_bench(self.linker, self.kernel, subject, hook) as bench:
                count = bench.load(port)
        except UserError as error:
            return ProgramCheck(program=program, hook=hook, port=port, faults=error.faults)
        except InkevError as error:
            if error.code in UNABLE:
                raise
            return ProgramCheck(program=program, hook=hook, port=port, faults=error.faults)
        return ProgramCheck(program=program, hook=hook, port=port, verified_instructions=count)

    def _run_all(self, tests: tuple[PacketTest, ...], subject: Subject, say: Say) -> Iterator[TestCheck]:
        for number, test in enumerate(tests, 1):
            say(f"packet test {number} of {len(tests)}: {test.name}")
            for hook in test.hooks or subject.hooks():
                yield TestCheck(name=test.name, file=test.file, hook=hook, failures=self._run(test, subject, hook))

    def _run(self, test: PacketTest, subject: Subject, hook: HookKind) -> tuple[str, ...]:
        try:
            with open_bench(self.linker, self.kernel, subject, hook, test.config) as bench:
                return tuple(bench.run(test))
        except InkevError as error:
            return tuple(f"{fault.code}: {fault.message} {fault.why}".strip() for fault in error.faults)


UNABLE = frozenset({"no-privileges", "no-bpffs"})
"""Errors that say that the machine cannot check, not that the package is wrong."""


def read_built(folder: Path, manifest: Manifest) -> tuple[Built, ...]:
    """Return every program of a built package folder, for each of its hook types.

    Raises:
        UserError: `not-built`.
    """
    return tuple(
        _read_program(folder / "build", name, hook)
        for name, program in manifest.programs.items()
        for hook in program.hooks
    )


def _read_program(folder: Path, program: str, hook: str) -> Built:
    path = folder / f"{program}.{hook}"
    try:
        layout = msgspec.json.decode(path.with_name(path.name + ".json").read_bytes(), type=Layout)
        return Built(layout, path.with_name(path.name + ".bc").read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(
            "not-built",
            f"program {program} is not built for {hook}",
            where=str(path),
            why=str(error),
            hint="inkev build",
        ) from error


def _check_shared(subject: Subject) -> Iterator[Fault]:
    """Yield a fault for each map that two programs of the package declare differently: an instance has it once."""
    for hook in subject.hooks():
        first: dict[str, tuple[str, str]] = {}
        for unit in subject.of_hook(hook):
            for found in unit.layout.maps:
                program, fingerprint = first.setdefault(found.name, (unit.layout.program, found.fingerprint))
                if found.type != "rodata" and fingerprint != found.fingerprint:
                    yield Fault(
                        "map-differs",
                        f"{found.name} of program {unit.layout.program} is not {found.name} of program {program}",
                        where=f"nf.toml, programs.{unit.layout.program}",
                        why="programs of one instance share its maps and globals, and these have two layouts",
                        hint="define both programs in one file, or give the globals sections of their own"
                        if found.name.startswith(".")
                        else "declare it in one header that both include",
                    )


def _check_subgraph(manifest: Manifest) -> tuple[Fault, ...]:
    """Return the faults of a graph package's [graph], read as a graph file whose hooks are the package's ports."""
    if manifest.subgraph is None:
        return ()
    try:
        read_subgraph(manifest)
    except InkevError as error:
        return error.faults
    return ()


def _warnings(subject: Subject, tests: tuple[PacketTest, ...]) -> tuple[str, ...]:
    found = [] if tests else ["there are no packet tests (tests/*.toml)"]
    layouts = {unit.layout.program: unit.layout for unit in subject.built}
    for program, names in missing_fields(subject.manifest, layouts).items():
        listed = ", ".join(names)
        found.append(
            f"program {program}: no option in [config] sets {listed}" if program else f"no program reads {listed}"
        )
    return tuple(found)


def _judge(
    manifest: Manifest,
    *,
    faults: tuple[Fault, ...] = (),
    programs: tuple[ProgramCheck, ...] = (),
    tests: tuple[TestCheck, ...] = (),
    warnings: tuple[str, ...] = (),
) -> CheckReport:
    wrong = bool(faults) or any(program.faults for program in programs) or any(test.failures for test in tests)
    return CheckReport(
        package=manifest.package.name,
        version=manifest.package.version,
        kind=manifest.package.kind,
        faults=tuple(dict.fromkeys(faults)),
        programs=programs,
        tests=tests,
        warnings=warnings,
        passed=not wrong,
    )
