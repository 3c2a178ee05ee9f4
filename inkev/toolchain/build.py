"""C sources become bitcode and a layout: the build step, on the author's machine.

The only place that runs a compiler. Equal sources give equal bytes wherever the folder stands.
"""

from __future__ import annotations

import functools
import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inkev.base.errors import FaultList, UserError
from inkev.package.layout import Layout
from inkev.package.manifest import Manifest, Program
from inkev.package.reading import read_package
from inkev.toolchain.includes import find_include_folder
from inkev.toolchain.ir_grammar import normalise_text
from inkev.toolchain.layouts import make_layout

CLANG_FLOOR = 14
BUILD_VERSION = 1
"""Part of every fingerprint: raised with any change of what is written."""
FOREIGN = frozenset({"xdp", "tc"})
_DIAGNOSTIC = re.compile(r"^(?P<where>[^:\n]+:\d+:\d+): (?:fatal )?error: (?P<message>.*)$", re.MULTILINE)
_CHECK = "mend it; inkev check shows whether all is well"
_BACKEND = re.compile(r"^error: (?P<where>[^:\n]+:\d+:\d+): (?P<message>.*)$", re.MULTILINE)
"""What LLVM's code generator says: clang gives it neither source lines nor a mark."""
_VERSION = re.compile(r"clang version (\d+)[^\n]*")


@dataclass(frozen=True, slots=True)
class Unit:
    """One program to be built for one hook type."""

    name: str
    program: Program
    hook: str
    libraries: tuple[Path, ...] = ()
    """Include folders of the libraries that the package requires."""

    @property
    def stem(self) -> str:
        """Name of its files in `build/`, without the ending."""
        return f"{self.name}.{self.hook}"

    @property
    def is_foreign(self) -> bool:
        """True for a program that knows nothing of inkev."""
        return self.program.dialect in FOREIGN


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """What a built unit was made of: an equal stamp means that there is nothing to do."""

    flags: str
    inputs: dict[str, str]
    """File, relative to the package where it lies in it, to SHA-256."""


@functools.cache
def find_compiler() -> tuple[str, str]:
    """Return the path of clang and its version line.

    Raises:
        UserError: `no-compiler`: there is none, or it is older than 14.
    """
    path = shutil.which("clang")
    if path is None:
        raise UserError("no-compiler", "there is no clang", hint="install clang 14 or newer: apt install clang")
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    match = _VERSION.search(text)
    if match is None or int(match[1]) < CLANG_FLOOR:
        raise UserError("no-compiler", f"{path} is too old", why=text.splitlines()[0], hint="install clang 14 or newer")
    return path, match[0]


def units(manifest: Manifest, libraries: Sequence[Path] = ()) -> list[Unit]:
    """Return all that is to be compiled; a foreign program is built for its dialect's hook type alone."""
    found = []
    for name, program in manifest.programs.items():
        hooks = (program.dialect,) if program.dialect in FOREIGN else program.hooks
        found += [Unit(name, program, hook, tuple(libraries)) for hook in hooks if program.dialect != "bcc"]
    return found


def flags(unit: Unit, folder: Path, include: Path) -> list[str]:
    """Return clang's arguments: what the dialect wants, what the manifest adds, and no trace of where things are."""
    machine = platform.machine()
    found = [
        "-target",
        "bpf",
        "-O2",
        "-g",
        "-fno-ident",
        "-ffile-compilation-dir=.",
        "-Wall",
        "-Wno-unused-function",
        "-Wno-compare-distinct-pointer-types",
        "-fno-color-diagnostics",
        f"-ffile-prefix-map={folder}/=",
        f"-ffile-prefix-map={include}=inkev-include",
    ]
    if unit.is_foreign:
        architecture = {"x86_64": "x86", "aarch64": "arm64"}.get(machine, machine)
        found += [f"-D__{machine}__", f"-D__TARGET_ARCH_{architecture}"]
    else:
        found.append(f"-DIKV_HOOK_{unit.hook.upper()}")
    found += [f"-D{name}={value}" if value else f"-D{name}" for name, value in sorted(unit.program.defines.items())]
    found += [f"-I{item}" for item in unit.program.includes]
    for number, library in enumerate(unit.libraries):
        found += [f"-ffile-prefix-map={library}=library-{number}", f"-I{library}"]
    return [*found, f"-I{include}", f"-I/usr/include/{machine}-linux-gnu"]


def build_package(
    folder: Path, manifest: Manifest, *, include: Path, libraries: Sequence[Path] = (), force: bool = False
) -> list[Path]:
    """Compile every program for every hook type; return the files that were written.

    Units whose sources are unchanged are left alone; where anything is wrong, nothing is changed.

    Raises:
        Faults: `does-not-compile`, `no-such-entry`: every fault of every program.
        UserError: `no-compiler`.
    """
    compiler, version = find_compiler()
    faults, made = FaultList(), list[tuple[Unit, _Parts | None]]()
    for unit in units(manifest, libraries):
        if force or not is_current(unit, folder, include, version):
            made.append((unit, _build_unit(unit, folder, include, (compiler, version), faults)))
    faults.check()
    target = folder / "build"
    target.mkdir(exist_ok=True)
    written: list[Path] = []
    for unit, parts in made:
        written += _write(target, unit, parts)
    return written


@dataclass(frozen=True, slots=True)
class _Parts:
    bitcode: bytes
    layout: Layout
    stamp: Stamp


def _build_unit(unit: Unit, folder: Path, include: Path, compiler: tuple[str, str], faults: FaultList) -> _Parts | None:
    with tempfile.TemporaryDirectory(prefix="inkev-build-") as scratch:
        bitcode, listing = Path(scratch, "program.bc"), Path(scratch, "inputs")
        arguments = flags(unit, folder, include)
        ran = _run(
            [
                compiler[0],
                *arguments,
                "-emit-llvm",
                "-MD",
                "-MF",
                str(listing),
                "-c",
                unit.program.file,
                "-o",
                str(bitcode),
            ],
            folder,
        )
        if ran.returncode != 0:
            _report(unit, ran.stderr, faults)
            return None
        _normalise(bitcode, unit, compiler[0], folder)
        native = Path(scratch, "program.o")
        ran = _run(
            [
                compiler[0],
                "-target",
                "bpf",
                "-mcpu=v3",
                "-O2",
                "-Xclang",
                "-disable-llvm-passes",
                "-g",
                "-c",
                str(bitcode),
                "-o",
                str(native),
            ],
            folder,
        )
        if ran.returncode != 0:
            _report(unit, ran.stderr, faults)
            return None
        stamp = _stamp(unit, folder, include, compiler[1], _inputs(listing.read_text()))
        return _described(unit, bitcode.read_bytes(), native.read_bytes(), stamp, compiler[1], faults)


def _normalise(bitcode: Path, unit: Unit, compiler: str, folder: Path) -> None:
    """Take out of bitcode what linking would only carry along: variables' places, and our own entry's section."""
    listing = bitcode.with_suffix(".ll")
    plain = ["-target", "bpf", "-O2", "-Xclang", "-disable-llvm-passes", "-emit-llvm"]
    _run([compiler, *plain, "-S", str(bitcode), "-o", str(listing)], folder).check_returncode()
    listing.write_text(normalise_text(listing.read_text(), keep_sections=unit.is_foreign))
    _run([compiler, *plain, "-x", "ir", "-c", str(listing), "-o", str(bitcode)], folder).check_returncode()


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def _described(
    unit: Unit, bitcode: bytes, native: bytes, stamp: Stamp, version: str, faults: FaultList
) -> _Parts | None:
    layout = make_layout(unit.name, unit.hook, unit.program.entry, native, version, is_foreign=unit.is_foreign)
    if layout is None:
        faults.add(
            "no-such-entry",
            f"{unit.program.file} defines no function {unit.program.entry}",
            where=f"nf.toml, programs.{unit.name}.entry",
            hint="an entry must not be static",
        )
        return None
    return _Parts(bitcode, layout, stamp)


def _report(unit: Unit, text: str, faults: FaultList) -> None:
    """Record every error of the compiler, at the author's line; once where both hook types have it."""
    found = [(match, _shown(text[match.end() :])) for match in _DIAGNOSTIC.finditer(text)]
    found += [(match, "") for match in _BACKEND.finditer(text)]
    for match, why in found:
        where, message = match["where"].removeprefix("./"), match["message"]
        if not any(fault.where == where and fault.message == message for fault in faults.faults):
            hint = "keep what is large in a per-CPU array map" if "stack limit" in message else _CHECK
            faults.add("does-not-compile", message, where=where, why=why, hint=hint)
    if not found:
        faults.add(
            "does-not-compile",
            f"clang gave up on {unit.program.file}",
            where=unit.program.file,
            why=text.strip()[:2000],
            hint=_CHECK,
        )


def _shown(behind: str) -> str:
    """Return the source line and the mark below it that clang prints behind a message."""
    lines = behind.lstrip("\n").splitlines()[:2]
    return "\n".join(lines) if lines and not _DIAGNOSTIC.match(lines[0]) else ""


def _inputs(listing: str) -> list[str]:
    """Return the files that a make rule (clang's -MD) names."""
    return listing.replace("\\\n", " ").partition(": ")[2].split()


def _stamp(unit: Unit, folder: Path, include: Path, version: str, names: list[str]) -> Stamp:
    known = {}
    for name in names:
        path = folder / name
        known[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return Stamp(flags=_flags_digest(unit, folder, include, version), inputs=known)


def _flags_digest(unit: Unit, folder: Path, include: Path, version: str) -> str:
    text = "\n".join(
        [str(BUILD_VERSION), version, unit.program.file, unit.program.entry, *flags(unit, folder, include)]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _stamp_path(folder: Path, unit: Unit) -> Path:
    return folder / "build" / f".{unit.stem}.stamp"


def is_current(unit: Unit, folder: Path, include: Path, version: str) -> bool:
    """Return whether the unit was built of just these sources, flags and compiler."""
    target = folder / "build"
    if not all((target / f"{unit.stem}{ending}").is_file() for ending in (".bc", ".json")):
        return False
    try:
        stamp = msgspec.json.decode(_stamp_path(folder, unit).read_bytes(), type=Stamp)
        same = all(
            hashlib.sha256(Path(name).read_bytes()).hexdigest() == digest for name, digest in stamp.inputs.items()
        )
    except (OSError, msgspec.DecodeError):
        return False
    return same and stamp.flags == _flags_digest(unit, folder, include, version)


def _write(target: Path, unit: Unit, parts: _Parts | None) -> list[Path]:
    if parts is None:
        return []
    contents = {
        f"{unit.stem}.bc": parts.bitcode,
        f"{unit.stem}.json": msgspec.json.format(msgspec.json.encode(parts.layout, order="deterministic")) + b"\n",
    }
    written = []
    for name, raw in contents.items():
        path = target / name
        path.write_bytes(raw)
        written.append(path)
    (target / f".{unit.stem}.stamp").write_bytes(msgspec.json.encode(parts.stamp))
    return written


def build_folder(folder: Path, libraries: Sequence[Path] = ()) -> list[Path]:
    """Build the package in a folder against the installed C library; return the files that were written.

    Args:
        folder: the package's.
        libraries: include folders of the libraries that it requires.

    Raises:
        Faults: of the manifest or of the sources, all at once.
    """
    manifest, folder = read_package(folder)
    return build_package(folder, manifest, include=find_include_folder(), libraries=libraries)
