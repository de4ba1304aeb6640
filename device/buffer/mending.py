"""A new file in the place of a damaged one, with every row that can be saved, under the name it always had.

The new one is made beside the damaged one and takes its place only when it is whole and durable, so a power cut on the
way costs nothing but the work. It needs as much flash as the rows that are saved.
"""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

from device.buffer.capacity import Capacity
from device.buffer.row import Priority, Reason, transactions
from device.buffer.salvage import enter
from device.buffer.store import NoRoomError, Store
from device.buffer.store_file import (
    LOG_SUFFIX,
    MENDED_FILE,
    MENDING_FILE,
    QUARANTINE_FILE,
    STORE_FILE,
    exchange,
    sync_folder,
)


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of a damaged file's rows."""

    store: Store
    """The new one as it was made, closed by now."""
    saved: Counter[Priority] = field(default_factory=Counter)
    missing: Counter[Priority] = field(default_factory=Counter)
    """As far as it is known how many there were."""
    crowded_out: Counter[Priority] = field(default_factory=Counter)
    """Sound, but the bound is smaller than it was."""


def mend(folder: Path, capacity: Capacity, known: Store | None, *, saves_rows: bool = True) -> Mended:
    """Do it; `sqlite3.Error` or `OSError` when the flash does not take it, and then all is as it was.

    `known`: the store as it was while it could be read, closed by now. `saves_rows`: false to begin without any.
    """
    # The last damaged file first: at no time are there three.
    for name in (QUARANTINE_FILE, MENDING_FILE):
        _remove(folder, name)
    with closing(sqlite3.connect(folder / STORE_FILE, isolation_level=None, timeout=0)) as connection:
        wreck = enter(connection)
        segments, dropped = (known.segments, known.dropped) if known else (wreck.segments, wreck.dropped)
        with closing(Store(folder, capacity, MENDING_FILE)) as new:
            made = Mended(new)
            new.restore(segments, dropped)
            for p in Priority if saves_rows else ():
                delivered = known.delivered[p] if known else -1
                rows = [row for row in wreck.rows(p, segments[p]) if row[0] > delivered]
                made.missing[p] = max(0, known.undelivered(p) - len(rows)) if known else wreck.missing[p]
                for group in transactions(rows, itemgetter(3)):
                    try:
                        made.crowded_out.update(new.put(p, group))
                    except NoRoomError:
                        made.crowded_out[p] += len(group)
            if known and not saves_rows:
                made.missing.update({p: known.undelivered(p) for p in Priority})
            made.saved.update(new.counts)
            lost = {Reason.CORRUPT: made.missing.total(), Reason.FULL: made.crowded_out.total()}
            new.restore(segments, dropped + Counter(lost))
    if (folder / f"{MENDING_FILE}{LOG_SUFFIX}").exists():
        raise sqlite3.OperationalError("the log of the mended file cannot be folded into it")
    (folder / MENDING_FILE).replace(folder / MENDED_FILE)
    sync_folder(folder)
    exchange(folder)
    return made


def _remove(folder: Path, name: str) -> None:
    for suffix in ("", LOG_SUFFIX):
        (folder / f"{name}{suffix}").unlink(missing_ok=True)
