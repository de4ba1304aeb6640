"""How `route apply` tells what became of the devices it moved: a bar while they are followed, then who is where."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fleet.routing.following import Followed
from fleet.routing.following import Progress as Followers
from fleet.routing.route import State
from provisioning.commands.telling import table_console

MAX_NAMED = 20
"""Unseen devices named in a table; JSON names all."""


class FollowBar:
    """What `Mover.follow` tells its progress to."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("following", total=None)

    def __call__(self, progress: Followers) -> None:
        """Show one round."""
        phases = ", ".join(f"{progress.states[state]} {state}" for state in State if progress.states.get(state))
        ended = progress.states.get(State.SETTLED, 0) + progress.returned + progress.unseen
        extra = f", {progress.returned} moved back" if progress.returned else ""
        self._bar.update(self._task, description=phases + extra, completed=ended, total=progress.total)


@contextmanager
def follow_bar() -> Iterator[FollowBar]:
    """A bar on standard error, on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield FollowBar(bar)


def followed_facts(followed: Followed) -> dict[str, Any]:
    """For `--json`: every device by name."""
    return {
        "settled": list(followed.settled),
        "moved_back": [{"device": device, "seen": seen} for device, seen in followed.returned.items()],
        "unseen": list(followed.unseen),
        "superseded": list(followed.superseded),
    }


def tell_followed(followed: Followed) -> None:
    """A line each for what went well, a table of what did not."""
    typer.echo(f"{len(followed.settled)} settled in their target")
    if followed.unseen:
        named = ", ".join(followed.unseen[:MAX_NAMED]) + (" ..." if len(followed.unseen) > MAX_NAMED else "")
        typer.echo(f"{len(followed.unseen)} not seen since; their names lead to the target: {named}")
    if followed.superseded:
        typer.echo(f"{len(followed.superseded)} moved on by another plan, which follows them")
    if followed.returned:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("moved back")
        table.add_column("what was seen", overflow="fold")
        for device, seen in followed.returned.items():
            table.add_row(device, seen)
        table_console().print(table)
