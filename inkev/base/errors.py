"""The one tree of errors that inkev raises on purpose; anything else that escapes is a bug.

    InkevError
    |- UserError        the input is wrong: manifest, graph, command line, unknown package
    |- TrustError       signature, digest, permission: never retried, never softened
    |- KernelError      the kernel refused; `errno` is kept
    |  `- NotSupported  the kernel lacks a feature; names it and its floor
    `- ConflictError    somebody else was faster or holds the thing

Every error has a stable kebab-case code; a report of several faults is one `Faults`, of several conflicts `Conflicts`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where it stands, and why it is wrong."""

    code: str
    message: str
    where: str = ""
    why: str = ""
    hint: str = ""


class InkevError(Exception):
    """An expected failure with a stable code, a place, a reason and a hint."""

    exit_status = 1

    def __init__(self, code: str, message: str, *, where: str = "", why: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.faults: tuple[Fault, ...] = (Fault(code, message, where, why, hint),)

    @property
    def code(self) -> str:
        """The stable kebab-case code of the first fault."""
        return self.faults[0].code

    @property
    def hint(self) -> str:
        """What to do about the first fault, or an empty text."""
        return self.faults[0].hint

    def __str__(self) -> str:
        return "\n".join(format_fault(fault) for fault in self.faults)


class UserError(InkevError):
    """What the user wrote cannot be done as written."""

    exit_status = 2


class Faults(UserError):
    """Every fault of one input at once."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        found = tuple(faults)
        first = found[0]
        super().__init__(first.code, first.message)
        self.faults = found


class TrustError(InkevError):
    """Something is not what it claims to be, or does more than it may; never retried, never softened."""

    exit_status = 3


class KernelError(InkevError):
    """The kernel refused an operation.

    Args:
        errno: the kernel's error number, positive; 0 where there is none.
        log: the whole verifier or libbpf log where there is one.
    """

    exit_status = 4

    def __init__(self, code: str, message: str, *, errno: int = 0, log: str = "", where: str = "", why: str = "",
                 hint: str = "") -> None:
        super().__init__(code, message, where=where, why=why, hint=hint)
        self.errno = errno
        self.log = log


class NotSupportedError(KernelError):
    """The kernel lacks a feature; `hint` names the version that it appeared in."""


class ConflictError(InkevError):
    """Somebody else holds or changed the thing since it was looked at."""

    exit_status = 5


class Conflicts(ConflictError):
    """Every conflict of one command at once."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        found = tuple(faults)
        super().__init__(found[0].code, found[0].message)
        self.faults = found


@dataclass(slots=True)
class FaultList:
    """Collects faults while an input is read, and raises them together."""

    faults: list[Fault] = field(default_factory=list)

    def add(self, code: str, message: str, *, where: str = "", why: str = "", hint: str = "") -> None:
        """Record one fault and go on."""
        self.faults.append(Fault(code, message, where, why, hint))

    def check(self) -> None:
        """Raise every recorded fault at once, if there is any.

        Raises:
            Faults: with all recorded faults, in the order they were found.
        """
        if self.faults:
            raise Faults(self.faults)


def format_fault(fault: Fault) -> str:
    """Return the fault as the text shown to a person."""
    lines = [f"error[{fault.code}]: {fault.message}"]
    if fault.where:
        lines.append(f"  where: {fault.where}")
    if fault.why:
        lines.append("  why:   " + fault.why.replace("\n", "\n         "))
    if fault.hint:
        lines += ["", f"hint: {fault.hint}"]
    return "\n".join(lines)
