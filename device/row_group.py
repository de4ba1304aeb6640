"""Rows on their way to the buffer: stored in groups, because each group costs the flash a write (docs/buffer.md).

A row is durable once its group is. How much a power cut may cost is decided here, connected or not: a minute of rows at
a row a second, the rows of `GROUP_SECONDS` at fewer, and of the urgent ones none.
"""

from device.buffer.row import Priority
from device.row_store import RowStore
from protocol.batch_window import FRESHEST_SECONDS

GROUP_ROWS = 60
"""A minute at a row a second: the group at which appends are cheap (measured, docs/buffer.md)."""
GROUP_SECONDS = FRESHEST_SECONDS
"""How old a row may become before it is stored: as old as over a good link when its batch leaves. Any less would store
a batch in two groups, and wear the flash more, where the first would have left a moment later."""


class RowGroup:
    """The rows of one device that are not in its buffer yet."""

    __slots__ = ("_rows", "_since", "_store")

    def __init__(self, store: RowStore) -> None:
        self._store = store
        self._rows: list[tuple[Priority, bytes]] = []
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, priority: Priority, row: bytes, *, now: float) -> None:
        """One more; a full group is stored. `now`: seconds that only go forward."""
        if not self._rows:
            self._since = now
        self._rows.append((priority, row))
        if len(self._rows) >= GROUP_ROWS:
            self.store()

    def store_what_is_due(self, *, next_at: float) -> None:
        """Store what must not wait for the next rows, which come at `next_at`.

        A group that would be too old by then is stored as it is: no row could join it in time.
        """
        if self._rows and next_at - self._since > GROUP_SECONDS:
            self.store()
        elif urgent := [row for priority, row in self._rows if priority is Priority.URGENT]:
            self._rows = [each for each in self._rows if each[0] is not Priority.URGENT]
            self._store.append(urgent, Priority.URGENT)

    def store(self) -> None:
        """Store all, now."""
        rows, self._rows = self._rows, []
        for priority in Priority:
            if group := [row for p, row in rows if p is priority]:
                self._store.append(group, priority)
