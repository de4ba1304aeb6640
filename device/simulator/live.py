"""The fleet while it runs: a table that is drawn anew on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live as RichLive
from rich.table import Table

from device.simulator.course import Look
from device.simulator.scenario import Scenario

LINE_SECONDS = 5.0
"""Between two lines where there is no terminal."""


class Live:
    """Told the state of the fleet; a context."""

    def __init__(self, console: Console, scenario: Scenario, devices: int, *, quiet: bool) -> None:
        self._console, self._scenario, self._devices, self._quiet = console, scenario, devices, quiet
        self._drawn = RichLive(console=console, transient=True, auto_refresh=False)
        self._last: Look | None = None
        self._told_at = 0.0

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._is_drawn:
            self._drawn.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """And end."""
        if self._is_drawn:
            self._drawn.stop()

    def look(self, look: Look, doing: str) -> None:
        """The fleet as it is now."""
        if self._quiet:
            return
        before, self._last = self._last or look, look
        rate = (look.attempts - before.attempts) / max(look.at - before.at, 1e-9) if look.at > before.at else 0.0
        if self._is_drawn:
            self._drawn.update(self._table(look, doing, rate), refresh=True)
        elif time.monotonic() - self._told_at >= LINE_SECONDS:
            self._told_at = time.monotonic()
            self._console.print(
                f"{look.at:7.0f} s  {look.connected:,} of {self._devices:,} connected, {rate:.0f} connects/s, "
                f"{look.acknowledged:,} rows delivered, {look.waiting:,} waiting; {doing}",
                markup=False,
                soft_wrap=True,
            )

    @property
    def _is_drawn(self) -> bool:
        return self._console.is_terminal and not self._quiet

    def _table(self, look: Look, doing: str, rate: float) -> Table:
        table = Table(title=f"{self._scenario.name}: {self._scenario.says}", title_justify="left")
        for column in ("seconds", "connected", "connects/s", "rows delivered", "rows waiting"):
            table.add_column(column, justify="right")
        table.add_column("now")
        table.add_row(
            f"{look.at:,.0f}",
            f"{look.connected:,} of {self._devices:,}",
            f"{rate:,.0f}",
            f"{look.acknowledged:,}",
            f"{look.waiting:,}",
            doing,
        )
        return table
