"""What became of one simulated device, counted from what its agent says."""

from collections import Counter
from collections.abc import Callable
from typing import Any


class Tally:
    """Told every event of one device. Small: there are thousands."""

    __slots__ = (
        "acknowledged",
        "batches",
        "connections",
        "dropped",
        "failures",
        "is_connected",
        "last_reason",
        "on_acknowledged",
        "server_name",
        "unheard",
    )

    def __init__(self) -> None:
        self.connections = self.failures = self.batches = self.unheard = 0
        self.acknowledged: dict[int, int] = {}
        """Rows, by epoch."""
        self.dropped: Counter[str] | None = None
        """Rows by reason, once there are any."""
        self.on_acknowledged: Callable[[], object] = lambda: None
        """Called for each batch that arrived."""
        self.is_connected = False
        self.server_name = ""
        self.last_reason = ""

    def note(self, event: dict[str, Any]) -> None:
        """One event."""
        match event["event"]:
            case "connected":
                self.connections += 1
                self.is_connected, self.server_name = True, event["server_name"]
            case "resolved":
                self.is_connected = False
            case "failed":
                self.failures += 1
                self.is_connected, self.last_reason = False, event["reason"]
            case "acknowledged":
                self._acknowledged(event["epoch"], event["first"], event["last"])
            case "unheard":
                self.unheard += 1
            case "buffer_dropped":
                self._dropped(event["reason"], event["rows"])
            case "row_refused":
                self._dropped(f"refused: {event['reason']}", 1)

    @property
    def rows(self) -> int:
        """Acknowledged, of all epochs."""
        return sum(self.acknowledged.values())

    @property
    def dropped_rows(self) -> int:
        """Of all reasons."""
        return self.dropped.total() if self.dropped else 0

    def _dropped(self, reason: str, rows: int) -> None:
        self.dropped = self.dropped or Counter()
        self.dropped[reason] += rows

    def _acknowledged(self, epoch: int, first: int, last: int) -> None:
        self.batches += 1
        self.on_acknowledged()
        self.acknowledged[epoch] = self.acknowledged.get(epoch, 0) + last - first + 1
