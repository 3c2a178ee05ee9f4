"""The process: runs one command line, turns what it raises into text (or JSON) and an exit status.

Exit statuses: 0 done; 1 a check failed, or a bug in inkev; 2 wrong input; 3 not trusted; 4 the kernel refused;
5 somebody else holds or changed it; 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from inkev import __version__
from inkev.base.errors import InkevError

INTERRUPTED = 130
BROKEN_PIPE = 141
CANNOT_PRINT = 4
COMPLETE = "_INKEV_COMPLETE"
"""Set by the script that `inkev completion` prints, to ask how a word may go on."""


def main(words: Sequence[str] | None = None) -> int:
    """Run `inkev WORDS...` and return its exit status; nothing is raised."""
    _open_standard_streams()
    given = list(sys.argv[1:] if words is None else words)
    if given == ["--version"]:  # before click is imported: scripts ask often
        print(f"inkev {__version__}")
        return 0
    if words is None:
        _end_as_by_ctrl_c()
    try:
        status = _run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; without this Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        with suppress(OSError):
            print(f"error[cannot-print]: what was done cannot be printed: {error.strerror}", file=sys.stderr)
        return CANNOT_PRINT
    return status


def _end_as_by_ctrl_c() -> None:
    """Let what asks the process to end undo what was begun, and take away what was made for the moment."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)


def _open_standard_streams() -> None:
    """Open what whoever started us has closed: no map or program may become standard output."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            while (opened := os.open(os.devnull, os.O_RDWR)) < number:
                pass  # the lower ones are taken first
            setattr(sys, name, os.fdopen(opened, mode, closefd=False))


def _run(words: list[str]) -> int:
    import click

    from inkev.cli import failure
    from inkev.cli.session import Session
    from inkev.cli.tree import inkev

    session = Session(json="--json" in words)
    try:
        status = inkev.main(words, prog_name="inkev", standalone_mode=False, obj=session)
    except InkevError as error:
        return failure.report(error, session)
    except click.ClickException as error:
        return failure.report(failure.usage_error(error), session)
    except click.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as end:
        # click ends the process in two cases only: it has answered a shell's question, or nobody reads what it prints.
        return int(end.code or 0) if COMPLETE in os.environ else BROKEN_PIPE
    except BrokenPipeError:
        raise
    except OSError as error:
        refusal = failure.file_error(error, session)
        return failure.report(refusal, session) if refusal else failure.report_crash(error, words, session)
    except Exception as error:  # noqa: BLE001 - the top: whatever arrives here is a bug, and is kept for its report
        return failure.report_crash(error, words, session)
    finally:
        session.close()
    session.warn_of_plugins()
    return status if isinstance(status, int) else 0
