"""The process: versions, helps, failures and their exit statuses, as a shell sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import click
import pytest

from inkev.base.errors import ConflictError, Fault, Faults, KernelError, TrustError, UserError
from inkev.cli import failure
from inkev.cli.main import main
from inkev.cli.session import Session
from inkev.cli.tree import COMMANDS, Command, Tree, inkev


def run(*words, env=None, **options):
    return subprocess.run(
        [sys.executable, "-m", "inkev", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
        **options,
    )


@pytest.fixture
def extra(monkeypatch):
    """Add a command that does what a test wants."""

    def add(callback):
        command = Command("extra", callback=callback)
        known = Tree.get_command
        monkeypatch.setattr(Tree, "get_command", lambda *given: command if given[2] == "extra" else known(*given))

    return add


def test_version_needs_nothing():
    done = run("--version", env={"INKEV_ROOT": "/nonexistent"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "inkev 0.1.0\n", "")


def test_version_does_not_import_click():
    code = "import sys; from inkev.cli.main import main; main(['--version']); sys.exit('click' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_takes_the_common_options(name):
    command = inkev.get_command(click.Context(inkev), name)
    assert command.help.rstrip().endswith(".")
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--root", "--json", "--verbose"} <= options


def test_help_lists_every_command():
    done = run("--help")
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


def test_an_unknown_command_is_an_error_with_the_nearest_one(capsys):
    assert main(["instal"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error[no-such-command]: No such command 'instal'. Did you mean 'install'?")
    assert "\nhint: inkev --help\n" in told


def test_a_wrong_option_is_an_error_in_the_one_form(capsys):
    assert main(["new"]) == 2
    assert capsys.readouterr().err.startswith("error[usage]: Missing argument 'NAME'\n  where: inkev new\n")


def test_errors_are_json_with_json(capsys):
    assert main(["new", "Bad Name", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["exit_status"] == 2
    assert document["errors"][0]["code"] == "bad-name"
    assert set(document["errors"][0]) == {"code", "message", "where", "why", "hint"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UserError("a-b", "text"), 2),
        (TrustError("a-b", "text"), 3),
        (KernelError("a-b", "text"), 4),
        (ConflictError("a-b", "text"), 5),
    ],
)
def test_the_exit_status_tells_the_class_of_error(extra, capsys, error, status):
    def fail():
        raise error

    extra(fail)
    assert main(["extra"]) == status
    assert capsys.readouterr().err == "error[a-b]: text\n"


def test_an_error_is_printed_as_the_style_says(extra, capsys):
    def fail():
        raise ConflictError(
            "stitch-point-taken",
            "cannot insert firewall 1.2.0 at edge.screening",
            where="graph.toml, edges.stitch-points.screening",
            why='"ratelimit" was inserted there after this plan was made (generation 8, planned on 7)',
            hint="run inkev stitch again",
        )

    extra(fail)
    assert main(["extra"]) == 5
    assert capsys.readouterr().err == (
        "error[stitch-point-taken]: cannot insert firewall 1.2.0 at edge.screening\n"
        "  where: graph.toml, edges.stitch-points.screening\n"
        '  why:   "ratelimit" was inserted there after this plan was made (generation 8, planned on 7)\n'
        "\n"
        "hint: run inkev stitch again\n"
    )


def test_all_faults_are_printed(extra, capsys):
    def fail():
        raise Faults([Fault("one", "first"), Fault("two", "second")])

    extra(fail)
    assert main(["extra"]) == 2
    assert capsys.readouterr().err == "error[one]: first\n\nerror[two]: second\n"


def test_a_kernel_log_is_shown_when_asked_for(extra, capsys):
    def fail():
        raise KernelError("verifier-refused", "no", log="R1 invalid mem access")

    extra(fail)
    main(["extra"])
    assert "R1" not in capsys.readouterr().err
    main(["extra", "-v"])
    assert "R1 invalid mem access" in capsys.readouterr().err


def test_a_bug_is_short_on_the_screen_and_whole_in_a_file(extra, capsys, tmp_path):
    def fail():
        raise ZeroDivisionError("by nothing")

    extra(fail)
    assert main(["extra", "--root", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error[bug]: ")
    assert "Traceback" not in told
    (saved,) = (tmp_path / "state").glob("crash-*.txt")
    assert str(saved) in told
    assert "ZeroDivisionError: by nothing" in saved.read_text()


def test_a_bug_is_kept_even_where_the_root_cannot_be_written(tmp_path):
    session = Session(folder="/proc/nowhere")
    assert failure.report_crash(RuntimeError("x"), ["extra"], session) == 1


def test_an_interrupt_ends_with_130(extra, capsys):
    def interrupt():
        raise KeyboardInterrupt

    extra(interrupt)
    assert main(["extra"]) == 130


def test_a_reader_that_goes_away_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "inkev", "--help"], stdout=gone, stderr=subprocess.PIPE, check=False, text=True
        )
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_the_shells(shell):
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_INKEV_COMPLETE" in done.stdout


def test_a_shell_completes_commands_and_options():
    env = {"_INKEV_COMPLETE": "bash_complete", "COMP_WORDS": "inkev in", "COMP_CWORD": "1"}
    done = run(env=env)
    assert done.returncode == 0
    words = [line.partition(",")[2] for line in done.stdout.splitlines()]
    assert words == ["install", "info", "insert"]
