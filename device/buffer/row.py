"""What the buffer holds: bytes it does not look into, under a priority, with a check of their own."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from device.buffer.capacity import TRANSACTION_BYTES

MAX_ROW_BYTES = 2000
"""Two fit a page. Larger rows would waste half of each, and from 4,061 bytes on take pages of their own."""
ROW_OVERHEAD_BYTES = 24
"""At most: cell pointer, header, number, stamp and checksum of a row in its page (SQLite, "Record Format")."""


class Priority(IntEnum):
    """What goes first, and what is given up last."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


class Reason(StrEnum):
    """Why a row was given up."""

    FULL = "full"
    """Newer rows, or rows of a higher priority, needed its place."""
    EXPIRED = "expired"
    """It waited for longer than its time-to-live."""
    CORRUPT = "corrupt"
    """The flash gave back other bytes than it was given."""
    UNSTORED = "unstored"
    """The flash took nothing, and memory was full."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row where it stands. `stamp`: seconds the device had run, over all its starts, when it was appended."""

    sequence: int
    stamp: int
    payload: bytes


@dataclass(frozen=True)
class Chunk:
    """Rows of one priority and one epoch with consecutive sequence numbers, the oldest first; never empty."""

    priority: Priority
    epoch: int
    rows: tuple[StoredRow, ...]

    @property
    def payloads(self) -> tuple[bytes, ...]:
        """What was appended."""
        return tuple(row.payload for row in self.rows)


def checksum(number: int, stamp: int, payload: bytes) -> int:
    """CRC-32 over what the row says and where it stands, so that a row in another's place is noticed too."""
    return zlib.crc32(payload, zlib.crc32(b"%d %d" % (number, stamp)))


def transactions(rows: Sequence[StoredRow]) -> Iterator[Sequence[StoredRow]]:
    """The rows in groups that one transaction stores within `TRANSACTION_BYTES`; in order, nothing left out."""
    first, size = 0, 0
    for index, row in enumerate(rows):
        needed = len(row.payload) + ROW_OVERHEAD_BYTES
        if size + needed > TRANSACTION_BYTES:
            yield rows[first:index]
            first, size = index, 0
        size += needed
    if first < len(rows):
        yield rows[first:]
