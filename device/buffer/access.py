"""The buffer's file as far as the flash gives it: opened when it can be, told of when it cannot, mended when damaged.

That a read failed, and that the file is not what was written, SQLite reports by the same error. So the file is looked
through before anything is put aside: what cannot be read is waited for, and what is wrong is mended.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from device.buffer.capacity import Capacity
from device.buffer.mending import Mended, mend
from device.buffer.row import Priority, Reason
from device.buffer.store import Store
from device.buffer.store_file import QUARANTINE_FILE, DamagedError, check_readable, exchange, gives_nothing, is_damage

PATIENCE_SECONDS = 300.0
"""How long a file with unreadable parts, or without room to mend it, is waited for: half of what memory holds at a row
a second."""
MEND_AGAIN_SECONDS = 30.0
"""Between two tries to mend: each may write as much as the file holds."""

Emit = Callable[[dict[str, Any]], None]
Result = TypeVar("Result")


class Access:
    """One device's file, open or not."""

    def __init__(
        self,
        folder: Path,
        capacity: Capacity,
        *,
        monotonic: Callable[[], float],
        emit: Emit,
        on_open: Callable[[Store], None],
    ) -> None:
        """`on_open`: called with every store that was opened, before it is used."""
        self.folder, self.capacity, self.monotonic, self.emit, self.on_open = folder, capacity, monotonic, emit, on_open
        self.store: Store | None = None
        self.known: Store | None = None
        """The last that was open, perhaps closed since: what is known of the rows."""
        self.is_available = True
        self._unreadable_since: float | None = None
        self._mend_at = 0.0

    def attempt(self, work: Callable[[Store], Result]) -> Result | None:
        """What `work` returns; None when the flash did not let it, which is told once until it does again.

        It is done once more when the file had to be opened anew.
        """
        for _ in range(2):
            store = self.opened()
            if store is None:
                return None
            try:
                return work(store)
            except sqlite3.Error as error:
                reason = str(error)
                if not is_damage(error):
                    break
                self.close()
            except OSError as error:
                reason = str(error)
                break
        self.tell_unavailable(reason)
        return None

    def opened(self) -> Store | None:
        """The store; None when the flash does not give it now."""
        if self.store is None and self.monotonic() >= self._mend_at:
            try:
                self._open()
            except (DamagedError, sqlite3.Error, OSError) as error:
                self.tell_unavailable(str(error))
        return self.store

    def owes(self, priority: Priority) -> bool:
        """Whether rows are known to be stored and are worth waiting for; to be asked when they could not be read."""
        if self.known is None or not self.known.undelivered(priority):
            return False
        self._note_unreadable()
        return not self._has_waited()

    def tell_read(self) -> None:
        """Rows could be read, or there were none."""
        self._unreadable_since = None

    def tell_unavailable(self, reason: str) -> None:
        """The flash refuses; said once."""
        if self.is_available:
            self.emit({"event": "buffer_unavailable", "reason": reason})
        self.is_available = False

    def tell_available(self) -> None:
        """It took rows; said once."""
        if not self.is_available:
            self.emit({"event": "buffer_available"})
        self.is_available = True

    def close(self) -> None:
        """Let go of the file; it is opened again when it is asked for."""
        if self.store:
            self.store.close()
            self.store = None

    def _open(self) -> None:
        exchange(self.folder)
        try:
            store = Store(self.folder, self.capacity)
        except DamagedError as error:
            self._mend(str(error))
            store = Store(self.folder, self.capacity)
        try:
            if self.known and self.known.segments == store.segments:
                store.skip_delivered(self.known.delivered)
            self.on_open(store)
        except BaseException:
            store.close()
            raise
        self.store = self.known = store
        self._unreadable_since = None

    def _mend(self, reason: str) -> None:
        rows = self.known.depth if self.known else None
        try:
            made = self._mended()
        except (sqlite3.Error, OSError):
            self._note_unreadable()
            raise
        # What is made now may fail as well, and is waited for in its turn.
        self.known, self._unreadable_since = made.store, None
        told = {"rows": rows, "saved": made.saved.total(), "kept": QUARANTINE_FILE}
        self.emit({"event": "buffer_quarantined", "reason": reason, **told})
        for dropped, why in ((made.missing, Reason.CORRUPT), (made.crowded_out, Reason.FULL)):
            for priority, count in sorted(dropped.items()):
                if count:
                    self.tell_dropped(priority, why, count)

    def _mended(self) -> Mended:
        if not self._has_waited() or gives_nothing(self.folder):
            check_readable(self.folder)
        try:
            return mend(self.folder, self.capacity, self.known)
        except (sqlite3.Error, OSError):
            if self._has_waited():
                return mend(self.folder, self.capacity, self.known, saves_rows=False)
            self._mend_at = self.monotonic() + MEND_AGAIN_SECONDS
            raise

    def tell_dropped(self, priority: Priority, reason: Reason, rows: int) -> None:
        """Rows were given up."""
        self.emit({"event": "buffer_dropped", "priority": priority.name.lower(), "reason": reason.value, "rows": rows})

    def _note_unreadable(self) -> None:
        if self._unreadable_since is None:
            self._unreadable_since = self.monotonic()

    def _has_waited(self) -> bool:
        since = self._unreadable_since
        return since is not None and self.monotonic() - since >= PATIENCE_SECONDS
