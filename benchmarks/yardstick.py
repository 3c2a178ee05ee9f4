"""The hand-written programs in `yardsticks/`, compiled and loaded."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from inkev.bpf.libbpf import Object
from inkev.bpf.maps import Map
from inkev.bpf.program import AttachType, Program, ProgramType

FOLDER = Path(__file__).parent / "yardsticks"
ATTACH = {ProgramType.XDP: AttachType.XDP, ProgramType.SCHED_CLS: AttachType.NONE}


@cache
def compiled(source: str, *defines: str) -> bytes:
    """Return the object that clang makes of a file in `yardsticks/`."""
    machine = platform.machine()
    command = ["clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", f"-D__{machine}__",
               f"-I/usr/include/{machine}-linux-gnu", *(f"-D{name}" for name in defines), "-c",
               str(FOLDER / source), "-o", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


class Yardstick:
    """Loaded programs of one object, and its maps."""

    def __init__(self, programs: Mapping[str, Program], maps: Mapping[str, Map]) -> None:
        self.programs = programs
        self.maps = maps


@contextmanager
def loaded(source: str, kind: ProgramType, *defines: str, attach: AttachType | None = None,
           entries: Mapping[str, int] | None = None) -> Iterator[Yardstick]:
    """Load a file of `yardsticks/` for the length of the block.

    Args:
        source: file name.
        kind: what all its programs are loaded as.
        defines: macros, as NAME or NAME=VALUE.
        attach: the expected attach type, where a prog array demands another than usual.
        entries: sizes of maps by name, where they differ from the source's.
    """
    with ExitStack() as stack, Object.open(compiled(source, *defines)) as opened:
        maps = list(opened.iter_maps())
        for each in maps:
            if entries and each.name in entries:
                each.set_max_entries(entries[each.name])
        opened.load(kind, ATTACH[kind] if attach is None else attach)
        yield Yardstick({name: stack.enter_context(opened.take_program(name)) for name in list(opened.iter_programs())},
                        {each.name: stack.enter_context(each.take()) for each in maps})
