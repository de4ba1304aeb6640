"""How every command tells: results on standard output, for people or as JSON; errors in words, without a traceback.

Exit codes: 0 done; 1 this machine or the cloud failed, and a rerun may succeed; 2 the request must change first.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from botocore.exceptions import BotoCoreError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from provisioning.errors import ProvisioningError, RefusedError
from stacks.errors import StackError
from stacks.outputs import OutputsError

FAILED = 1
REFUSED = 2
LINE_WIDTH = 200
"""Characters a line may have where no terminal sets a limit: enough that nothing wraps in a log."""


@contextmanager
def errors_told() -> Iterator[None]:
    """Turn what goes wrong inside into a message and an exit code."""
    try:
        yield
    except (RefusedError, StackError, OutputsError) as error:
        raise _told(error, REFUSED) from error
    except (ProvisioningError, BotoCoreError, OSError) as error:
        raise _told(error, FAILED) from error


def tell(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """One result: JSON, or a line a fact."""
    if as_json:
        typer.echo(json.dumps(facts))
        return
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), str(value))
    Console(soft_wrap=True).print(table)


def tell_rows(
    name: str, rows: Sequence[Mapping[str, str]], *, as_json: bool, columns: Sequence[str] | None = None
) -> None:
    """Several results of one kind: JSON under `name`, or a table of `columns`. An empty list is said, not shown."""
    if as_json:
        typer.echo(json.dumps({name: rows}))
        return
    if not rows:
        typer.echo(f"{name}: nothing")
        return
    shown = tuple(rows[0]) if columns is None else columns
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in shown:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(row[column] for column in shown))
    console = Console()
    console.print(table, width=None if console.is_terminal else LINE_WIDTH)


def tell_error(error: Exception) -> None:
    """One error in words, on standard error."""
    typer.echo(f"provisioning: {error}", err=True)


def _told(error: Exception, code: int) -> typer.Exit:
    tell_error(error)
    return typer.Exit(code)
