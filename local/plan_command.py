"""`python -m local plan`: write every stack's plan, or say which are stale."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from local.plan import PlanChange, compare_plan
from local.program import PROJECT_ROOT
from local.registration import ProgramError
from local.write_file import write_file
from stacks.errors import StackError
from stacks.load import available_stacks

READABLE_BY_ALL = 0o644  # a plan is public to whoever reads the repository
STALE = 1  # exit code of --check
BAD_INPUT = 2  # exit code of every command of ours for what the caller must change


def plan(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 with the difference when a plan is stale.")
    ] = False,
    stack: Annotated[str | None, typer.Option("--stack", help="One stack instead of all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: one JSON document.")] = False,
) -> None:
    """Render every stack into stacks/<name>.plan.yaml, without credentials or network.

    Exit codes: 0 up to date or written, 1 stale (with --check), 2 the program or its data is wrong.
    """
    console, errors = Console(), Console(stderr=True)
    stacks = (stack,) if stack else available_stacks()
    try:
        changes = [compare_plan(name, project_root=PROJECT_ROOT) for name in stacks]
    except (StackError, ProgramError) as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from None
    if as_json:
        typer.echo(json.dumps([_summary(change, check=check) for change in changes], indent=2))
    else:
        _show(changes, console, check=check)
    if not check:
        for change in changes:
            if change.stale:
                write_file(change.path, change.rendered, mode=READABLE_BY_ALL)
    elif any(change.stale for change in changes):
        errors.print("A plan is stale; run `make plan` and commit it with the change.")
        raise typer.Exit(STALE)


def _summary(change: PlanChange, *, check: bool) -> dict[str, object]:
    summary: dict[str, object] = {
        "stack": change.stack,
        "stale": change.stale,
        "components": [asdict(component) for component in change.components()],
    }
    return summary | ({"diff": change.diff()} if check else {})


def _show(changes: list[PlanChange], console: Console, *, check: bool) -> None:
    console.print(_table(changes))
    for change in changes:
        if not change.stale:
            continue
        if not check:
            console.print(f"{change.path.name} written", markup=False)
        elif console.is_terminal:
            console.print(Syntax(change.diff(), "diff", word_wrap=True))
        else:
            typer.echo(change.diff(), nl=False)


def _table(changes: list[PlanChange]) -> Table:
    """Resources of every component in every stack, and what changed."""
    table = Table("stack", "component", title="Plans")
    for title in ("resources", "added", "changed", "removed"):
        table.add_column(title, justify="right")
    for change in changes:
        for one in change.components():
            counts = (one.resources, one.added, one.changed, one.removed)
            style = "yellow" if any(counts[1:]) else None
            table.add_row(change.stack, one.component, *(str(count or "") for count in counts), style=style)
        table.add_section()
    return table
