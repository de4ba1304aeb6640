"""What a device's folder holds: for whoever has it on the desk, running or not.

The buffer is read from a copy, since a running device has its file for itself; rows that move while they are copied may
be counted on either side.
"""

import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from device.agent import FIRMWARE
from device.agent_state import AgentState, recall
from device.assembly import BUFFER_FOLDER
from device.buffer.capacity import MIN_BYTES, Capacity
from device.buffer.row import Priority
from device.buffer.store import Store
from device.buffer.store_file import STORE_FILE, DamagedError
from device.configuration_keeper import ConfigurationKeeper, as_document
from device.jobs.journal import Journal, Kept
from device.row_codec import UnreadableRowError, decode_row
from device.shelf import FolderShelf
from device.slot_keeper import recall_slots
from device.slots import Slots, first
from protocol.bundle import Bundle, read_bundle


@dataclass(frozen=True, slots=True)
class Waiting:
    """The rows of one priority that were not delivered."""

    rows: int
    oldest: datetime | None
    """As its clock showed; nothing when it cannot be read."""


@dataclass(frozen=True, slots=True)
class BufferStatus:
    """`damage`: how that was seen; then the rest is empty, and the next start saves what it can."""

    bytes: int = 0
    waiting: Mapping[str, Waiting] | None = None
    dropped: Mapping[str, int] | None = None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """All of it."""

    bundle: Bundle
    state: AgentState
    buffer: BufferStatus
    slots: Slots
    configuration: dict[str, Any]
    orders: tuple[Kept, ...]
    """The last ones, the newest last."""


def read_status(folder: Path, scratch: Path) -> Status:
    """What is in `folder`; `OSError` or `pydantic.ValidationError` without a bundle. `scratch`: for the copy."""
    shelf, bundle = FolderShelf(folder), read_bundle(folder)
    return Status(
        bundle=bundle,
        state=recall(shelf),
        buffer=_buffer(folder / BUFFER_FOLDER, scratch),
        slots=recall_slots(shelf) or first(FIRMWARE),
        configuration=as_document(ConfigurationKeeper(shelf, bundle.batch_window).current),
        orders=Journal(shelf).kept,
    )


def _buffer(folder: Path, scratch: Path) -> BufferStatus:
    if not (folder / STORE_FILE).exists():
        return BufferStatus(waiting={}, dropped={})
    files = list(folder.glob(f"{STORE_FILE}*"))
    for file in files:
        shutil.copy(file, scratch)
    size = sum(file.stat().st_size for file in files)
    try:
        store = Store(scratch, Capacity.of_bytes(max(size, MIN_BYTES)))
    except (DamagedError, sqlite3.Error) as error:
        return BufferStatus(size, {}, {}, str(error))
    try:
        waiting = {p.name.lower(): _waiting(store, p) for p in Priority if store.counts[p]}
        return BufferStatus(size, waiting, {reason.value: rows for reason, rows in store.dropped.items()})
    finally:
        store.close()


def _waiting(store: Store, priority: Priority) -> Waiting:
    chunk, _ = store.oldest(priority, 1)
    try:
        oldest = decode_row(chunk.rows[0].payload)[1] if chunk else None
    except UnreadableRowError:
        oldest = None
    return Waiting(store.counts[priority], oldest)
