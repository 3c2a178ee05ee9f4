"""`inkev doctor`: what this machine lacks, and how to mend it."""

from __future__ import annotations

import click

from inkev.agent.diagnosis import Finding
from inkev.cli.columns import format_columns
from inkev.cli.session import Session
from inkev.cli.tree import Command

MARKS = {"ok": "ok", "optional": "--", "missing": "MISSING"}
UNHEALTHY = 1


@click.command("doctor", cls=Command, document=list[Finding])
@click.pass_obj
def doctor_command(session: Session) -> int:
    """Look for everything that inkev needs of this machine; exit status 1 where something is missing."""
    findings = session.wiring.diagnose()
    session.show(findings, _text)
    return UNHEALTHY if any(finding.state == "missing" for finding in findings) else 0


def _text(findings: list[Finding]) -> str:
    lines = format_columns((MARKS[found.state], found.name, found.detail) for found in findings)
    hints = [f"hint: {found.name}: {found.hint}" for found in findings if found.hint and found.state != "ok"]
    return "\n".join([lines, *([""] if hints else []), *hints])
