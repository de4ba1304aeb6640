"""How `route plan` tells what it made."""

import json
from collections.abc import Sequence
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fleet.plan_making import Made, refusal_item
from provisioning.commands.telling import table_console


def _facts(made: Made, following: str) -> dict[str, Any]:
    """What is told, but for the refused."""
    tally, expected = made.tally, made.estimate
    moves = sorted((str(before), str(after), count) for (before, after), count in tally.moves.items())
    return {
        "plan": None if made.plan is None else str(made.plan.path),
        "digest": None if made.plan is None else made.plan.digest,
        "changes": tally.changes,
        "unchanged": tally.unchanged,
        "pinned": tally.pinned,
        "refused_count": tally.refused,
        "moves": [{"from": before, "to": after, "devices": count} for before, after, count in moves],
        "batches": expected.batches,
        "requests": expected.requests,
        "seconds_zone": expected.zone.total_seconds(),
        "seconds_follow": expected.follow.total_seconds(),
        "records_added": expected.records_added,
        "dollars_once": round(expected.dollars_once, 6),
        "dollars_a_month": expected.dollars_a_month,
        "next": following if made.plan else None,
    }


def tell_as_json(made: Made, following: str) -> None:
    """One JSON document, with all refused: they are read back from their file."""
    refused = [refusal_item(each) for each in made.refused]
    if made.refused_file is not None:
        with made.refused_file.open(encoding="utf-8") as file:
            refused = [json.loads(line) for line in file]
    typer.echo(json.dumps({**_facts(made, following), "refused": refused}))


def tell(made: Made, following: str) -> None:
    """Tables and lines for people. `following`: the next command."""
    facts, expected = _facts(made, following), made.estimate
    if made.plan is None:
        all_refused = "every device that should change is refused" if made.refused else "nothing to change"
        typer.echo(f"{all_refused}; no plan was written")
    else:
        _show(("from", "to", "devices"), [tuple(map(str, move.values())) for move in facts["moves"]])
    if made.refused:
        rows = [(each.device, str(each.before), str(each.after or ""), each.reason) for each in made.refused]
        _show(("refused", "from", "to", "reason"), rows)
        if made.tally.refused > len(made.refused):
            where = f", all of them in {made.refused_file}" if made.refused_file else ""
            typer.echo(f"and {made.tally.refused - len(made.refused)} more{where}")
    counted = f"{made.tally.changes} to change, {made.tally.unchanged} stay, {made.tally.refused} refused"
    typer.echo(f"{counted}, {made.tally.pinned} pinned")
    if made.plan is None:
        return
    batches = "1 batch" if expected.batches == 1 else f"{expected.batches:,} batches"
    monthly = "" if expected.dollars_a_month is None else f", ${expected.dollars_a_month:+.2f} a month"
    typer.echo(
        f"takes about {expected.zone + expected.follow}: {batches} to Route 53 "
        f"({expected.requests} requests), then each device is followed until it has settled\n"
        f"costs about ${expected.dollars_once:.2f} once{monthly} ({expected.records_added:+d} records)\n"
        f"digest {made.plan.digest}\n"
        f"next: {following}"
    )


def _show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column == "devices" else "left")
    for row in rows:
        table.add_row(*row)
    table_console().print(table)
