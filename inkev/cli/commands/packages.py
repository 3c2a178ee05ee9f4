"""`inkev install`, `uninstall`, `list`, `info`, `search`: the packages of this host."""

from __future__ import annotations

from pathlib import Path

import click

from inkev.agent.packages import FoundPackage, ListedPackage
from inkev.cli import candidates
from inkev.cli.columns import format_columns
from inkev.cli.manual import draw_manual, rights
from inkev.cli.options import dry_run_option, from_source_option
from inkev.cli.progress import progress
from inkev.cli.session import Session
from inkev.cli.tree import Command
from inkev.host.installing import InstallItem, InstallReport
from inkev.package.manifest import Manifest
from inkev.resolve.lock import LOCK


@click.command("install", cls=Command, document=InstallReport)
@click.argument("requirements", nargs=-1, metavar="[PACKAGE...]", shell_complete=candidates.packages)
@click.option("--lock", type=click.Path(dir_okay=False), metavar="FILE", help="Keep to the versions that FILE pins.")
@click.option("--locked", is_flag=True, help=f"Keep to the versions that {LOCK} in this folder pins.")
@from_source_option
@dry_run_option
@click.pass_obj
def install_command(
    session: Session, requirements: tuple[str, ...], *, lock: str | None, locked: bool, dry_run: bool
) -> None:
    """Install packages and what they require: firewall, firewall==1.2, 'router>=1.0,<2'.

    With --locked or --lock and no PACKAGE: exactly the packages that the lock pins, checked by their digests.
    """
    file = lock or (LOCK if locked else "")
    if not requirements and not file:
        raise click.UsageError("name a PACKAGE, or a lock by --locked or --lock FILE")
    with progress(session, f"installing {' '.join(requirements) or file}"):
        report = session.wiring.packages.install(requirements, lock=Path(file) if file else None, dry_run=dry_run)
    session.show(report, _install_text)


def _install_text(report: InstallReport) -> str:
    verb = "would install" if report.dry_run else "installed"
    lines = [f"{verb} {one.name} {one.version}{_rights(one)}" for one in report.packages if one.new]
    lines += [f"{one.name} {one.version} is installed" for one in report.packages if one.asked and not one.new]
    return "\n".join(lines)


def _rights(item: InstallItem) -> str:
    granted = ", ".join(rights(item.permissions)) if item.permissions else ""
    return f": may {granted}" if granted else ""


@click.command("uninstall", cls=Command, document=list[ListedPackage])
@click.argument("requirements", nargs=-1, required=True, metavar="PACKAGE...", shell_complete=candidates.packages)
@dry_run_option
@click.pass_obj
def uninstall_command(session: Session, requirements: tuple[str, ...], *, dry_run: bool) -> None:
    """Remove installed packages; refused while a graph runs them or another package requires them."""
    verb = "would remove" if dry_run else "removed"
    removed = session.wiring.packages.uninstall(requirements, dry_run=dry_run)
    session.show(removed, lambda found: "\n".join(f"{verb} {one.name} {one.version}" for one in found))


@click.command("list", cls=Command, document=list[ListedPackage])
@click.pass_obj
def list_command(session: Session) -> None:
    """List installed packages, and the graphs that run them."""
    session.show(session.wiring.packages.installed(), _list_text)


def _list_text(found: list[ListedPackage]) -> str:
    if not found:
        return "no packages are installed"
    rows = [(one.name, one.version, one.kind, ", ".join(one.used_by), one.summary) for one in found]
    return format_columns(rows, ("package", "version", "kind", "runs in", ""))


@click.command("info", cls=Command, document=Manifest)
@click.argument("requirement", metavar="PACKAGE", shell_complete=candidates.packages)
@from_source_option
@click.pass_obj
def info_command(session: Session, requirement: str) -> None:
    """Show what a package does: ports, options, tables, metrics, drop reasons, permissions.

    The installed one; where none is installed, or with --source, the newest that a source has.
    """
    ask_sources = bool(session.sources)
    session.show(session.wiring.packages.info(requirement, ask_sources=ask_sources), draw_manual)


@click.command("search", cls=Command, document=list[FoundPackage])
@click.argument("words", nargs=-1, metavar="[WORD...]")
@from_source_option
@click.pass_obj
def search_command(session: Session, words: tuple[str, ...]) -> None:
    """Find packages in the sources whose name, summary or keywords hold every WORD."""
    session.show(session.wiring.packages.search(words), _search_text)


def _search_text(found: list[FoundPackage]) -> str:
    if not found:
        return "nothing found"
    rows = [(one.name, one.version, one.kind, "installed" if one.installed else "", one.summary) for one in found]
    return format_columns(rows, ("package", "newest", "kind", "", ""))
