"""What a change of a graph did, or would do, as text."""

from __future__ import annotations

from inkev.cli.session import Session
from inkev.host.results import Change


def show_change(session: Session, change: Change, *, steps: bool) -> None:
    """Print a change; `steps` lists every action of its plan."""
    for warning in change.warnings:
        session.warn(warning)
    session.show(change, lambda shown: format_change(shown, steps=steps or session.verbose))


def format_change(change: Change, *, steps: bool) -> str:
    """Return the differences in words, the actions where asked for, and how it ended."""
    plan = change.plan
    if plan.is_empty:
        return f"{plan.graph}: nothing to do, generation {plan.generation} runs"
    lines = [f"  {line}" for line in plan.changes]
    if steps:
        lines += ["", *(f"  {number:>3}  {action}" for number, action in enumerate(plan.actions, 1))]
    return "\n".join([*lines, *([""] if lines else []), _outcome(change)])


def _outcome(change: Change) -> str:
    plan = change.plan
    if not change.applied:
        return f"{plan.graph}: {len(plan.actions)} actions, nothing done"
    subject = f"{plan.graph}: {change.instance}, " if change.instance else f"{plan.graph}: "
    state = f"generation {plan.generation} runs" if plan.generation else "unstitched"
    return f"{subject}{state} ({change.seconds * 1000:.0f} ms)"
