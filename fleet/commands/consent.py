"""Asking a person before routes are changed, with what would change in view."""

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fleet.errors import RefusedError
from fleet.routing.plan import Plan

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts, where nobody can answer.")]


def ask(plan: Plan, *, yes: bool) -> None:
    """Show how many devices go from where to where, and go on only when told to. `RefusedError` when nobody can say."""
    if yes:
        return
    _refuse_without_terminal()
    console = Console(stderr=True)
    table = Table("from", "to", "devices", box=SIMPLE_HEAD, pad_edge=False)
    for before, after, count in moves(plan):
        table.add_row(before, after, f"{count:,}")
    console.print(table)
    console.print(f"{plan.header.environment}, as planned by {plan.header.made_by} at {plan.header.made_at:%F %R} UTC")
    typer.confirm(f"Change the routes of {plan.count:,} devices?", abort=True, err=True)


def ask_to_stop(plan: Plan, *, yes: bool) -> None:
    """Whether an unfinished plan may be stopped for good, to be rolled back. `RefusedError` when nobody can say."""
    if yes:
        return
    _refuse_without_terminal()
    typer.confirm(
        f"Plan {plan.digest[:12]} is not done. Stop it for good, and roll back what it did?", abort=True, err=True
    )


def _refuse_without_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError("nobody can be asked here; look at the plan, then give --yes")


def moves(plan: Plan) -> Iterator[tuple[str, str, int]]:
    """From, to, and how many devices, sorted."""
    counts = Counter((str(change.before), str(change.after)) for change in plan.changes())
    return ((before, after, counts[before, after]) for before, after in sorted(counts))
