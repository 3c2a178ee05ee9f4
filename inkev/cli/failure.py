"""How failures look: errors in their one form (or as JSON), and bugs with a saved traceback."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from inkev import __version__
from inkev.base.errors import Fault, InkevError, KernelError, UserError, format_fault
from inkev.cli.session import Session

BUG = 1


def report(error: InkevError, session: Session) -> int:
    """Print the error, on stderr for people and on stdout for programs, and return its exit status."""
    if session.json:
        session.print_json(failure_document(error.faults, error.exit_status))
        return error.exit_status
    print("\n\n".join(_coloured(fault) for fault in error.faults), file=sys.stderr)
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
