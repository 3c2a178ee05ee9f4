"""How failures look: errors in their one form (or as JSON), and bugs with a saved traceback."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from inkev import __version__
from inkev.base.errors import Fault, InkevError, KernelError, UserError, format_fault
from inkev.base.paths import BPFFS
from inkev.cli.session import Session

BUG = 1
SHOWN = 40
"""Faults that a person is shown of one command."""
_ROOM = ("disk-full", "make room there, or name another root by --root")
_ACCESS = ("no-access", "run it as root (sudo inkev ...), or name another root by --root")
_FILE_ERRORS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.ENOENT: ("no-such-file", "put it back; what was installed can be uninstalled, and installed again"),
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: ("read-only", "name a root that can be written to by --root"),
    errno.EIO: ("disk-broken", "look for the disk's errors in dmesg"),
    errno.ENAMETOOLONG: ("bad-path", "choose a shorter path"),
    errno.ENOTDIR: ("bad-path", "a file stands where a folder is needed"),
    errno.EISDIR: ("bad-path", "a folder stands where a file is needed"),
    errno.ELOOP: ("bad-path", "a symbolic link leads to itself"),
    errno.EMFILE: ("too-many-files", "raise the limit of open files: ulimit -n 4096"),
}
"""What a file system may refuse anywhere: code and hint."""


def report(error: InkevError, session: Session) -> int:
    """Print the error, on stderr for people and on stdout for programs, and return its exit status."""
    if session.json:
        session.print_json(failure_document(error.faults, error.exit_status))
        return error.exit_status
    print("\n\n".join(_coloured(fault) for fault in error.faults[:SHOWN]), file=sys.stderr)
    if len(error.faults) > SHOWN:
        print(f"\nand {len(error.faults) - SHOWN:,} more: --json lists them all", file=sys.stderr)
    if session.verbose and isinstance(error, KernelError) and error.log:
        print(f"\nlog:\n{error.log.rstrip()}", file=sys.stderr)
    return error.exit_status


def failure_document(faults: Sequence[Fault], exit_status: int) -> dict[str, object]:
    """Return what `--json` prints instead of the command's document when it fails."""
    return {
        "errors": [
            {"code": fault.code, "message": fault.message, "where": fault.where, "why": fault.why, "hint": fault.hint}
            for fault in faults
        ],
        "exit_status": exit_status,
    }


def _coloured(fault: Fault) -> str:
    text = format_fault(fault)
    if not sys.stderr.isatty():
        return text
    return re.sub(r"^(error\[[^]]*\]:|hint:)", lambda word: click.style(word[0], bold=True), text, flags=re.MULTILINE)


def usage_error(error: click.ClickException) -> UserError:
    """Return click's complaint about the command line in inkev's own form."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "inkev"
    code = "no-such-command" if "No such command" in error.format_message() else "usage"
    if isinstance(error, click.FileError):
        code = "no-such-file"
    return UserError(code, error.format_message().rstrip("."), where=command, hint=f"{command} --help")


def file_error(error: OSError, session: Session) -> KernelError | None:
    """Return the error for a file system that refuses what any command may ask of it; None where that is a bug."""
    number = error.errno or 0
    if number not in _FILE_ERRORS:
        return None
    where = str(error.filename or "")
    if number == errno.ENOENT and not where:
        return None
    if number == errno.ENOENT and Path(where).is_relative_to(BPFFS):
        why = "somebody took it away; programs that run keep what they use"
        hint = "inkev unstitch GRAPH clears what is left of the graph; then stitch it again"
        return KernelError("pin-missing", f"nothing is pinned at {where}", errno=number, why=why, hint=hint)
    code, hint = _FILE_ERRORS[number]
    message = f"cannot use {where}" if where else f"cannot write below {session.root.folder}"
    return KernelError(code, message, errno=number, where=where, why=os.strerror(number), hint=hint)


def report_crash(error: Exception, words: Sequence[str], session: Session) -> int:
    """Save the traceback, print where it is, and return the exit status of a bug."""
    import traceback

    text = "".join(traceback.format_exception(error))
    path = _save_crash(f"inkev {__version__}\n{_system()}\ninkev {' '.join(words)}\n\n{text}", session)
    fault = Fault(
        "bug",
        "inkev met something it did not expect; this is a bug",
        why=f"{type(error).__name__}: {error}",
        hint=f"report it with {path}",
    )
    if session.json:
        session.print_json(failure_document([fault], BUG))
    else:
        print(_coloured(fault), file=sys.stderr)
    return BUG


def _system() -> str:
    import platform

    return f"Python {platform.python_version()}, {platform.system()} {platform.release()} {platform.machine()}"


def _save_crash(text: str, session: Session) -> Path:
    import datetime as dt

    name = f"crash-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S-%f}.txt"
    for folder in (session.root.state, Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        except OSError:
            continue
        return folder / name
    return Path("no file: nothing is writable")
