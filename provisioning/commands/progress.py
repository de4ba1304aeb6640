"""Progress of long work: a bar with rate and time left on a terminal, a plain line now and then elsewhere.

On standard error, and nowhere else. Nothing is shown of what is done within a few seconds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

LINE_EVERY_SECONDS = 10.0
"""In a log: often enough to see that it lives, rarely enough to read."""


class _Rate(ProgressColumn):
    """How many a second, lately."""

    def render(self, task: Task) -> Text:
        """`312/s`, or nothing while nothing is known."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


@contextmanager
def counted(
    what: str, total: int, *, monotonic: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int], None]]:
    """Show `what` while the block runs; the value takes how many more are done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(what, total, monotonic).advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda more: progress.advance(bar, more)


@contextmanager
def reached(what: str, *, monotonic: Callable[[], float] = time.monotonic) -> Iterator[Callable[[int, int], None]]:
    """As `counted`, for work that says how many are done, and of how many only then."""
    before, advance = 0, None
    with ExitStack() as shown:

        def tell(done: int, total: int) -> None:
            nonlocal before, advance
            if advance is None:
                advance = shown.enter_context(counted(what, total, monotonic=monotonic))
            advance(done - before)
            before = done

        yield tell


class _Lines:
    """A line every ten seconds."""

    def __init__(self, what: str, total: int, monotonic: Callable[[], float]) -> None:
        self._what, self._total, self._monotonic = what, total, monotonic
        self._done = 0
        self._begun = self._told = monotonic()

    def advance(self, more: int) -> None:
        self._done += more
        now = self._monotonic()
        if now - self._told < LINE_EVERY_SECONDS or not self._done:
            return
        self._told = now
        rate = self._done / (now - self._begun)
        left = timedelta(seconds=round((self._total - self._done) / rate))
        typer.echo(f"{self._what}: {self._done:,} of {self._total:,}, {rate:,.0f}/s, {left} left", err=True)
