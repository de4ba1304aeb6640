"""How `route check` tells what it found."""

import json
from collections import Counter
from collections.abc import Sequence

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fleet.inspection import Inspected
from fleet.routing.finding import Finding, Rule
from fleet.routing.plan import Plan
from provisioning.commands.telling import table_console

MAX_SHOWN = 10
"""Findings of one rule in a table; JSON has them all."""


def tell_as_json(inspected: Inspected, *, plan: Plan | None, repaired: bool) -> None:
    """One JSON document, with every finding that is left."""
    typer.echo(
        json.dumps(
            {
                "clean": not inspected.findings,
                "names": inspected.names,
                "asked": inspected.asked,
                "not_asked": inspected.left_out,
                "counts": dict(Counter(str(each.rule) for each in inspected.findings)),
                "findings": [{**vars(each), "rule": str(each.rule)} for each in inspected.findings],
                "plan": plan.digest if plan is not None else None,
                "repaired": plan.count if plan is not None and repaired else 0,
            }
        )
    )


def tell(inspected: Inspected, *, plan: Plan | None, repaired: bool) -> None:
    """A table a rule, the most urgent first, and a line of what was looked at."""
    for rule in Rule:
        found = [each for each in inspected.findings if each.rule is rule]
        if found:
            _show(rule, found)
    asked = f", {inspected.asked:,} questions asked" if inspected.asked else ", no DNS server asked"
    left_out = f" ({inspected.left_out:,} devices with a record of their own were not)" if inspected.left_out else ""
    counts = Counter(each.rule for each in inspected.findings)
    summary = ", ".join(f"{counts[rule]:,} {rule}" for rule in Rule if counts[rule]) or "all agree"
    typer.echo(f"{inspected.names:,} names{asked}{left_out}: {summary}")
    if plan is not None:
        typer.echo(f"the repair is plan {plan.digest[:12]}: {plan.count:,} devices")
    if repaired:
        typer.echo("repaired, and looked at again" if not inspected.findings else "repaired; the above is left")


def _show(rule: Rule, found: Sequence[Finding]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=f"{rule}: {len(found):,}", title_justify="left")
    for column in ("name", "expected", "found"):
        table.add_column(column, overflow="fold")
    for each in found[:MAX_SHOWN]:
        table.add_row(each.name, each.expected, each.found)
    table_console().print(table)
    if len(found) > MAX_SHOWN:
        typer.echo(f"and {len(found) - MAX_SHOWN:,} more; --json has them all")
    for way_out in dict.fromkeys(each.way_out for each in found):
        typer.echo(f"way out: {way_out}")
