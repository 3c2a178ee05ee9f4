"""Compiles a C file of `programs/` against the library and runs its programs on packets, on the kernel."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from inkev.bpf.libbpf import Object
from inkev.bpf.maps import Map
from inkev.bpf.program import AttachType, Program, ProgramType, TestRun

HERE = Path(__file__).parent
INCLUDE = HERE.parents[1] / "bpf_common" / "include"
KINDS = {"xdp": (ProgramType.XDP, AttachType.XDP), "tc": (ProgramType.SCHED_CLS, AttachType.NONE)}
FLAGS = ("-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}",
         "-I/usr/include/x86_64-linux-gnu")
FORWARD = 1 << 16


@cache
def compile_program(name: str, hook: str) -> bytes:
    """Return `programs/NAME.c` as an object for one hook type."""
    command = ["clang", *FLAGS, f"-DIKV_HOOK_{hook.upper()}", "-c", str(HERE / "programs" / f"{name}.c"), "-o", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


class Loaded:
    """The programs and maps of one C file, in the kernel until the block ends."""

    def __init__(self, name: str, hook: str) -> None:
        with Object.open(compile_program(name, hook)) as opened:
            opened.load(*KINDS[hook])
            self.programs: dict[str, Program] = {one: opened.take_program(one) for one in opened.iter_programs()}
            self.maps: dict[str, Map] = {one.name: one.take() for one in opened.iter_maps()}

    def run(self, program: str, frame: bytes) -> TestRun:
        """Run one program on a frame."""
        return self.programs[program].test_run(frame)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        for held in (*self.programs.values(), *self.maps.values()):
            held.close()
