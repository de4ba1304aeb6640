"""Where the events of one device go: to a person as lines, or to a program as JSON, for as long as somebody reads."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from device.event_lines import COLUMN, line_of
from device.surroundings import Emit


class _Out(Console):
    """Standard output. A reader that is gone is the teller's business, and no reason to end the process on the spot."""

    def on_broken_pipe(self) -> None:
        """Called while the `BrokenPipeError` is handled."""
        raise  # noqa: PLE0704 - the one at hand


_out = _Out(highlight=False)


def as_json(event: dict[str, Any]) -> None:
    """One line of JSON."""
    typer.echo(json.dumps(event))


def as_line(event: dict[str, Any]) -> None:
    """One line for a person."""
    first, rest, style = line_of(event)
    _out.print(Text.assemble((f"{first:<{COLUMN}}", style), rest), soft_wrap=True)


class Telling:
    """Shows events until its reader is gone (`| head`), and says so once."""

    __slots__ = ("_show", "is_heard", "when_unheard")

    def __init__(self, show: Emit) -> None:
        self._show = show
        self.is_heard = True
        self.when_unheard: Callable[[], None] = lambda: None

    def __call__(self, event: dict[str, Any]) -> None:
        """Show it, if somebody reads."""
        if not self.is_heard:
            return
        try:
            self._show(event)
        except BrokenPipeError:
            self.is_heard = False
            # Python flushes standard output once more as it ends (library reference, signal: "Note on SIGPIPE").
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.when_unheard()
