"""Tells of a deployment while it runs: one live line on a terminal, a line for each change elsewhere."""

from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.status import Status

from local.apply import Action, Outcome


class Progress(Protocol):
    """Is told what is going on. Called from several threads."""

    def stage(self, text: str) -> None:
        """Something new begins."""

    def resource(self, outcome: Outcome) -> None:
        """A resource is done."""


class Quiet:
    """Says nothing: for tests, and for `--json`."""

    def stage(self, text: str) -> None:
        """Say nothing."""

    def resource(self, outcome: Outcome) -> None:
        """Say nothing."""


class Lines:
    """A line for each stage and each resource that changed; for logs and pipes."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def stage(self, text: str) -> None:
        """One line."""
        self._write(text)

    def resource(self, outcome: Outcome) -> None:
        """One line, unless nothing happened."""
        if outcome.action is not Action.UNCHANGED:
            gap = "".join(f"  [not emulated: {gap}]" for gap in outcome.gaps)
            self._write(f"  {outcome.action:<9} {outcome.type} {outcome.name}{gap}")


class Live:
    """One line that changes: the stage, how many resources are done, and the last of them."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._stage = ""
        self._done = 0

    def stage(self, text: str) -> None:
        """Begin to count anew."""
        self._stage, self._done = text, 0
        self._status.update(text)

    def resource(self, outcome: Outcome) -> None:
        """Count one more."""
        self._done += 1
        self._status.update(f"{self._stage}: {self._done} resources, last {outcome.name} {outcome.action}")


def progress_on(console: Console, status: Status) -> Progress:
    """What suits the console."""
    if console.is_terminal:
        return Live(status)
    return Lines(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
