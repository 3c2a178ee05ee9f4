"""`inkev new`, `check`, `build`, `publish`: what an author of packages does."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from inkev.agent.packages import Published
from inkev.base.errors import format_fault
from inkev.cli.columns import format_columns
from inkev.cli.options import dry_run_option, package_folder_argument, to_source_option
from inkev.cli.progress import progress
from inkev.cli.session import Session
from inkev.cli.tree import Command
from inkev.host.checking import CheckReport, ProgramCheck, TestCheck
from inkev.package.scaffold import DIALECTS, KINDS

CHECK_FAILED = 1


class NewPackage(msgspec.Struct, frozen=True):
    """A new package folder."""

    folder: str
    files: list[str]
    dry_run: bool


class BuiltProgram(msgspec.Struct, frozen=True):
    """A program built for one hook type."""

    program: str
    hook: str
    instructions: int
    bitcode_bytes: int
    compiler: str


class BuiltPackage(msgspec.Struct, frozen=True):
    """What `inkev build` made."""

    package: str
    version: str
    programs: list[BuiltProgram]
    archive: str
    """Path of the archive."""
    digest: str


@click.command("new", cls=Command, document=NewPackage)
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="function", show_default=True, help="What it is.")
@click.option(
    "--dialect", type=click.Choice(DIALECTS), default="inkev", show_default=True, help="How its C is written."
)
@click.option("--dir", "folder", type=click.Path(file_okay=False), help="Where to write it (default: ./NAME).")
@dry_run_option
@click.pass_obj
def new_command(session: Session, name: str, kind: str, dialect: str, folder: str | None, *, dry_run: bool) -> None:
    """Write a new package that builds and passes `inkev check` at once."""
    from inkev.package.scaffold import render, scaffold

    target = Path(folder or name)
    paths = list(render(name, kind, dialect)) if dry_run else scaffold(name, target, kind, dialect)
    session.show(NewPackage(str(target), [str(path) for path in paths], dry_run), _new_text)


def _new_text(new: NewPackage) -> str:
    verb = "would write" if new.dry_run else "wrote"
    files = "\n".join(f"  {new.folder}/{file}" for file in new.files)
    return f"{verb}\n{files}\n\nnext: inkev check {new.folder}"


@click.command("check", cls=Command, document=CheckReport)
@package_folder_argument
@click.pass_obj
def check_command(session: Session, folder: str) -> int:
    """Check a package: manifest, build, permissions, packet tests, and a dry load into this kernel."""
    with progress(session, "checking") as say, session.wiring.checker() as checker:
        report = checker.check(Path(folder), say)
    session.show(report, _check_text)
    return 0 if report.passed else CHECK_FAILED


def _check_text(report: CheckReport) -> str:
    parts = [f"{report.package} {report.version}, {report.kind}"]
    parts += [_program_text(program) for program in report.programs]
    parts += [_test_text(test) for test in report.tests]
    parts += [f"warning: {text}" for text in report.warnings]
    parts += [f"\n{format_fault(fault)}" for fault in report.faults]
    failed = sum(bool(test.failures) for test in report.tests)
    tests = f"{len(report.tests) - failed} of {len(report.tests)} packet tests passed"
    parts.append(f"\n{'passed' if report.passed else 'FAILED'}" + (f": {tests}" if report.tests else ""))
    return "\n".join(parts)


def _program_text(program: ProgramCheck) -> str:
    name = f"program {program.program}, {program.hook}, entered by {program.port}"
    if not program.faults:
        return f"  ok      {name}: {program.verified_instructions:,} instructions verified"
    return "\n".join([f"  FAILED  {name}", *(_indented(format_fault(fault)) for fault in program.faults)])


def _test_text(test: TestCheck) -> str:
    name = f"{test.name} ({test.hook})"
    if not test.failures:
        return f"  ok      {name}"
    return "\n".join([f"  FAILED  {name}, {test.file}", *(_indented(line) for line in test.failures)])


def _indented(text: str) -> str:
    return "\n".join(f"          {line}" if line else "" for line in text.splitlines())


@click.command("build", cls=Command, document=BuiltPackage)
@package_folder_argument
@click.option("--output", type=click.Path(file_okay=False), help="Where the archive goes (default: DIR/build).")
@click.pass_obj
def build_command(session: Session, folder: str, output: str | None) -> None:
    """Compile a package to bitcode and pack it into NAME-VERSION.nfp."""
    from inkev.host.checking import read_built
    from inkev.package.archive import digest_file, write_archive
    from inkev.package.reading import read_package

    manifest, root = read_package(Path(folder))
    with progress(session, f"building {manifest.package.name}"):
        session.wiring.build(root)
        path = write_archive(root, Path(output) if output else root / "build")
    programs = [
        BuiltProgram(
            unit.layout.program, unit.layout.hook, unit.layout.instructions, len(unit.bitcode), unit.layout.compiler
        )
        for unit in read_built(root, manifest)
    ]
    package = manifest.package
    session.show(BuiltPackage(package.name, package.version, programs, str(path), digest_file(path)), _build_text)


def _build_text(built: BuiltPackage) -> str:
    rows = [(unit.program, unit.hook, f"{unit.instructions} instructions") for unit in built.programs]
    table = format_columns(rows, indent=2)
    return "\n".join(part for part in (f"{built.package} {built.version}", table, built.archive) if part)


@click.command("publish", cls=Command, document=Published)
@package_folder_argument
@to_source_option
@dry_run_option
@click.pass_obj
def publish_command(session: Session, folder: str, *, dry_run: bool) -> None:
    """Build a package and put its archive into a source, for others to install."""
    with progress(session, "publishing"):
        published = session.wiring.packages.publish(Path(folder), session.wiring.build, dry_run=dry_run)
    session.show(published, _publish_text)


def _publish_text(published: Published) -> str:
    verb = "would publish" if published.dry_run else "published"
    return f"{verb} {published.package} {published.version} to {published.source}"
