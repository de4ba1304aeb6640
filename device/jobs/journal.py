"""What became of the last orders, durably: an order is written down before it is begun, and again when it is over.

So a device that loses power knows at the next start whether it had begun, and never carries an order out twice.
"""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from device.jobs.order import Order, Status, Verdict
from device.shelf import Shelf

JOURNAL_FILE = "jobs.json"
KEPT_ORDERS = 32
"""The cloud hands out one order at a time, and the one at hand again until it has its verdict; the others are spare."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: str
    boot: int
    status: Status | None = None
    reason: str = ""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    entries: list[_Entry] = []


@dataclass(frozen=True, slots=True)
class Kept:
    """One order as a person reads the book. `status` is empty while it is not over."""

    key: str
    boot: int
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """`boot`: the start in which the order was begun. `verdict`: nothing while it is not over."""

    boot: int
    verdict: Verdict | None


class Journal:
    """The book."""

    __slots__ = ("_entries", "_shelf")

    def __init__(self, shelf: Shelf) -> None:
        """A damaged book is an empty one: an order that is handed out again then counts as new."""
        self._shelf = shelf
        try:
            document = _Document.model_validate_json(shelf.read(JOURNAL_FILE) or b"{}")
        except ValidationError:
            document = _Document()
        self._entries = {entry.key: entry for entry in document.entries}

    @property
    def kept(self) -> tuple[Kept, ...]:
        """All that is still in it, the oldest first."""
        return tuple(Kept(e.key, e.boot, e.status.value if e.status else "", e.reason) for e in self._entries.values())

    def find(self, order: Order) -> Entry | None:
        """What is written of it."""
        entry = self._entries.get(order.key)
        if entry is None:
            return None
        return Entry(entry.boot, Verdict(entry.status, entry.reason) if entry.status else None)

    def begin(self, order: Order, boot: int) -> None:
        """Write down that it is about to be carried out; `OSError` when the flash does not take it, and it must not."""
        self._write(_Entry(key=order.key, boot=boot))

    def conclude(self, order: Order, verdict: Verdict) -> None:
        """Write down how it ended; `OSError`."""
        boot = self._entries[order.key].boot if order.key in self._entries else 0
        self._write(_Entry(key=order.key, boot=boot, status=verdict.status, reason=verdict.reason))

    def _write(self, entry: _Entry) -> None:
        entries = {key: each for key, each in self._entries.items() if key != entry.key} | {entry.key: entry}
        kept = dict(list(entries.items())[-KEPT_ORDERS:])
        self._shelf.write(JOURNAL_FILE, _Document(entries=list(kept.values())).model_dump_json().encode())
        self._entries = kept
