"""Packet tests of a package (`tests/*.toml`) as typed values: named packets, each with its verdict and bytes.

Reading reports every fault at once. Running them on the kernel is `inkev.host.checking`; the format: docs/nf-api.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from inkev.base.errors import FaultList, InkevError
from inkev.base.limits import COMMON_REASONS, MANIFEST_BYTES
from inkev.package.manifest import HookKind, Manifest
from inkev.package.packets import parse_packet
from inkev.package.verdicts import REASONS, VERDICTS


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One packet, and what must become of it."""

    packet: str
    in_port: str = ""
    """May be left out where packets can enter by one port only."""
    verdict: str
    port: str = ""
    """For `forward`: the port it leaves by; may be left out where there is one."""
    reason: str = ""
    """For `drop`: the reason it counts under; any where left out."""
    metrics: dict[str, int] = {}
    """Values after the step, of the metrics named."""
    expect: str | None = None
    """The whole packet afterwards; left out: unchanged (unless it is dropped, when nobody looks)."""


class PacketTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A sequence of packets through one freshly configured instance; state is kept from step to step."""

    name: str
    hooks: tuple[HookKind, ...] = ()
    """Hook types to run it on; empty for all that the program is built for."""
    config: dict[str, Any] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    steps: tuple[Step, ...]
    file: str = ""
    """Where it stands, filled in by reading."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    test: list[dict[str, Any]]


def read_packet_tests(folder: Path, manifest: Manifest) -> tuple[PacketTest, ...]:
    """Return every packet test of the package in `folder`, in the order of file names.

    Raises:
        Faults: every fault of every file: syntax, unknown names, packets that cannot be read.
    """
    faults = FaultList()
    found: list[PacketTest] = []
    for path in sorted((folder / "tests").glob("*.toml")):
        found += _read_file(path, f"tests/{path.name}", manifest, faults)
    faults.check()
    return tuple(found)


def _read_file(path: Path, where: str, manifest: Manifest, faults: FaultList) -> list[PacketTest]:
    import tomli

    try:
        text = path.read_bytes()[:MANIFEST_BYTES].decode()
        raw = msgspec.convert(tomli.loads(text), _File)
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError, msgspec.ValidationError) as error:
        faults.add("bad-packet-test", f"cannot read {where}", where=where, why=str(error))
        return []
    tests = []
    for number, entry in enumerate(raw.test):
        place = f"{where}, test[{number}]"
        try:
            test = msgspec.convert({**entry, "file": where}, PacketTest)
        except msgspec.ValidationError as error:
            faults.add("bad-packet-test", "not a packet test", where=place, why=str(error))
            continue
        _check_test(test, place, manifest, faults)
        tests.append(test)
    return tests


def _check_test(test: PacketTest, where: str, manifest: Manifest, faults: FaultList) -> None:
    for kind, names, known in (
        ("option", test.config, manifest.config),
        ("table", test.tables, manifest.tables),
        ("metric", [name for step in test.steps for name in step.metrics], manifest.metrics),
    ):
        for name in names:
            if name not in known:
                faults.add("bad-packet-test", f"no {kind} {name!r}", where=where, why=_known(known))
    for number, step in enumerate(test.steps):
        _check_step(step, f"{where}.steps[{number}] ({test.name})", manifest, faults)


def _check_step(step: Step, where: str, manifest: Manifest, faults: FaultList) -> None:
    if step.verdict not in VERDICTS:
        faults.add("bad-packet-test", f"no verdict {step.verdict!r}", where=where, why=_known(VERDICTS))
    for key, port in (("in-port", step.in_port), ("port", step.port)):
        if port and port not in manifest.ports:
            faults.add("bad-packet-test", f"{key}: no port {port!r}", where=where, why=_known(manifest.ports))
    if not step.in_port and len(entry_ports(manifest)) > 1:
        faults.add("bad-packet-test", "in-port is missing", where=where, why=_known(entry_ports(manifest)))
    if step.reason and find_reason(step.reason, manifest) is None:
        faults.add(
            "bad-packet-test", f"no drop reason {step.reason!r}", where=where, why=_known((*REASONS, *manifest.reasons))
        )
    for text in (step.packet, step.expect):
        if text is None:
            continue
        try:
            parse_packet(text)
        except InkevError as error:
            for fault in error.faults:
                faults.add(fault.code, fault.message, where=where, why=fault.why, hint=fault.hint)


def _known(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"there are {listed}" if listed else "the manifest declares none"


def entry_ports(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the ports that packets can enter by."""
    return tuple(name for name, port in manifest.ports.items() if port.direction != "out")


def exit_ports(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the ports that packets can leave by."""
    return tuple(name for name, port in manifest.ports.items() if port.direction != "in")


def find_reason(name: str, manifest: Manifest) -> int | None:
    """Return the number of a drop reason, the package's own before a common one, or None."""
    if name in manifest.reasons:
        return COMMON_REASONS + list(manifest.reasons).index(name)
    return REASONS.index(name) if name in REASONS else None


def expected_bytes(step: Step) -> bytes | None:
    """Return the packet that must come back, or None where it does not matter."""
    if step.expect is not None:
        return parse_packet(step.expect)
    return None if step.verdict == "drop" else parse_packet(step.packet)
