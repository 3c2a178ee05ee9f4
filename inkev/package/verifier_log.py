"""A verifier's log as one complaint: what it says is wrong, and the author's line that it is wrong about. Pure.

The kernel prints `; SOURCE @ FILE:LINE` before the instructions of a line where the program's BTF has line information
(the place since Linux 6.9; the source text before that).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"^;\s?(?P<source>.*?)(?:\s+@\s+(?P<file>[^@]+):(?P<line>\d+))?$")
_INSTRUCTION = re.compile(r"^(?P<place>\d+): \([0-9a-f]{2}\) ")
_STATISTICS = ("processed ", "verification time", "stack depth", "insns (limit", "max_states", "mark_precise:", "-- ")
_STATE = re.compile(r"^(?:from \d+ to \d+|(?:\d+: )?R\d+(?:_\w+)?=|func#|caller|callee|frame ?\d|Func#|Validating )")
LIBRARY = frozenset({
    "abi.h", "checksum.h", "classify.h", "context.h", "count.h", "flow.h", "hash.h", "headers.h", "inline.h", "nf.h",
    "parse.h", "rewrite.h", "time.h", "verdict.h",
})  # fmt: skip
"""Files of bpf_common/include/inkev: the kernel prints no more than a file's last name."""

WALK = "segment"
"""What the generated walk calls its file."""


@dataclass(frozen=True, slots=True)
class VerifierComplaint:
    """What the verifier has against a program."""

    message: str
    """The verifier's own words."""
    where: str = ""
    """`file:line` of the author's source; empty where the log does not tell."""
    source: str = ""
    """The text of that line."""
    library: str = ""
    """`file:line` in the C library where the author's line called into it."""
    instruction: int = -1

    def __str__(self) -> str:
        parts = [self.message, self.source and f"in: {self.source}", self.library and f"within {self.library}"]
        return "\n".join(part for part in parts if part)


def explain_verifier_log(log: str) -> VerifierComplaint:
    """Return the complaint of a log, whose last run of instructions is the path that was refused."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    end, message = _find_message(lines)
    where = source = library = ""
    instruction = -1
    for line in reversed(lines[:end]):
        if instruction < 0 and (found := _INSTRUCTION.match(line)):
            instruction = int(found["place"])
        if not (match := _LINE.match(line)):
            continue
        place = f"{match['file']}:{match['line']}" if match["file"] else ""
        file = (match["file"] or "").rpartition("/")[2]
        if file in LIBRARY:
            library = library or place
        if file in LIBRARY or file == WALK:
            continue
        where, source = place, match["source"].strip()
        break
    return VerifierComplaint(message, where, source, library, instruction)


def _find_message(lines: list[str]) -> tuple[int, str]:
    """Return where the complaint stands, and its text: the last line that is neither state, code nor statistics."""
    for place in range(len(lines) - 1, -1, -1):
        line = lines[place]
        if line.startswith((*_STATISTICS, ";")) or _INSTRUCTION.match(line) or _STATE.match(line):
            continue
        return place, line
    return len(lines), "the verifier gives no reason"
