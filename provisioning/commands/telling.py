"""How every command tells: results on standard output, for people or as JSON; errors in words, without a traceback.

Exit codes: 0 done; 1 this machine or the cloud failed, and a rerun may succeed; 2 the request must change first;
130 interrupted by a person.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import typer
from botocore.exceptions import BotoCoreError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from provisioning.errors import ProvisioningError, RefusedError, StationError
from stacks.errors import StackError
from stacks.outputs import OutputsError

FAILED = 1
REFUSED = 2
INTERRUPTED = 130
"""As shells have it after a SIGINT."""
STOPPED = "interrupted, so what is told is not all; what was done stands, and the same command goes on"
MOST_ROWS = 40
"""A table of more rows scrolls away; then their kinds are counted instead."""
LINE_WIDTH = 1_000
"""Characters a line may have where no terminal sets a limit: enough that nothing wraps in a log, so that a search finds
it. rich would take 80."""


@contextmanager
def errors_told() -> Iterator[None]:
    """Turn what goes wrong inside into a message and an exit code."""
    try:
        yield
    except (RefusedError, StackError, OutputsError) as error:
        raise _told(error, REFUSED) from error
    except (ProvisioningError, BotoCoreError, OSError) as error:
        raise _told(error, FAILED) from error
    except KeyboardInterrupt as error:
        raise _told(StationError(STOPPED), INTERRUPTED) from error


def tell(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """One result: JSON, or a line a fact; what has no value is left out for people."""
    with answering(_about(facts)):
        if as_json:
            typer.echo(json.dumps(facts))
            return
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column(overflow="fold")
        for name, value in facts.items():
            if value is not None:
                table.add_row(name.replace("_", " "), str(value))
        Console(soft_wrap=True).print(table)


def tell_rows(
    name: str, rows: Sequence[Mapping[str, str]], *, as_json: bool, columns: Sequence[str] | None = None
) -> None:
    """Several results of one kind: JSON under `name`, or a table of `columns`. An empty list is said, not shown."""
    with answering():
        _write_rows(name, rows, as_json=as_json, columns=columns)


def _write_rows(name: str, rows: Sequence[Mapping[str, str]], *, as_json: bool, columns: Sequence[str] | None) -> None:
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
    table_console().print(table)


def table_console() -> Console:
    """Standard output, as wide as its terminal, or wide enough for every table."""
    console = Console()
    return console if console.is_terminal else Console(width=LINE_WIDTH)


class RowTeller:
    """Tells rows as they come, in the same memory however many they are: JSON at once, or a table of the first ones.

    Of more than `MOST_ROWS` a table says how many there are of each kind: of the columns `summed_up_by`. People see
    `columns`, machines every field.
    """

    def __init__(
        self, name: str, *, as_json: bool, summed_up_by: Sequence[str], columns: Sequence[str] | None = None
    ) -> None:
        self._name, self._as_json, self._summed_up_by, self._columns = name, as_json, summed_up_by, columns
        self._rows: list[Mapping[str, str]] = []
        self._kinds: Counter[tuple[str, ...]] = Counter()

    def __enter__(self) -> Self:
        if self._as_json:
            self._write(f"{{{json.dumps(self._name)}: [")
        return self

    def tell(self, row: Mapping[str, str]) -> None:
        """One more row."""
        if self._as_json:
            self._write((", " if self._kinds else "") + json.dumps(row))
        elif len(self._rows) <= MOST_ROWS:
            self._rows.append(row)
        self._kinds[tuple(row[column] for column in self._summed_up_by)] += 1

    def __exit__(self, *_: object) -> None:
        if self._as_json:
            self._write("]}\n")
        elif len(self._rows) <= MOST_ROWS:
            tell_rows(self._name, self._rows, as_json=False, columns=self._columns)
        else:
            kinds = sorted(self._kinds.items())
            rows = [{**dict(zip(self._summed_up_by, kind, strict=True)), "count": f"{n:,}"} for kind, n in kinds]
            tell_rows(self._name, rows, as_json=False)

    def _write(self, text: str) -> None:
        with answering(state="what was done stands"):
            typer.echo(text, nl=False)


@contextmanager
def answering(what: str = "", *, state: str = "it is done") -> Iterator[None]:
    """Say it in words when standard output takes no answer, as on a full disk: what was done stands."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is left in the buffer would be tried again when the interpreter ends, and told as a bug of its own.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        whose = f"{what}: " if what else ""
        said = f"{whose}{state}, and the answer cannot be written ({error.strerror}); run this again to have it"
        raise _told(StationError(said), FAILED) from error


def _about(facts: Mapping[str, Any]) -> str:
    """Whose result it is: a device's, or that of a whole batch."""
    return next(
        (f"{kind} {facts[name]}" for name, kind in (("device", "device"), ("file", "batch")) if name in facts), ""
    )


def tell_error(error: Exception) -> None:
    """One error in words, on standard error."""
    typer.echo(f"provisioning: {error}", err=True)


def _told(error: Exception, code: int) -> typer.Exit:
    tell_error(error)
    return typer.Exit(code)
