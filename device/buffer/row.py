"""What the buffer holds: bytes it does not look into, under a priority, with a check of their own."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, TypeVar

from device.buffer.capacity import TRANSACTION_BYTES

_Any = TypeVar("_Any")

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
    is_from_memory: bool = False
    """Given out while the flash did not take them; rows that it holds may be older, and are owed still."""

    @property
    def payloads(self) -> tuple[bytes, ...]:
        """What was appended."""
        return tuple(row.payload for row in self.rows)


def checksum(number: int, stamp: int, payload: bytes) -> int:
    """CRC-32 over what the row says and where it stands, so that a row in another's place is noticed too."""
    return zlib.crc32(payload, zlib.crc32(b"%d %d" % (number, stamp)))


def is_sound(number: Any, stamp: Any, check: Any, payload: Any) -> bool:
    """Whether what the flash gave is what it was given; of whatever kind it is now."""
    return isinstance(payload, bytes) and isinstance(stamp, int) and checksum(number, stamp, payload) == check


def transactions(rows: Sequence[_Any], payload_of: Callable[[_Any], bytes]) -> Iterator[Sequence[_Any]]:
    """The rows in groups that one transaction stores within `TRANSACTION_BYTES`; in order, nothing left out."""
    first, size = 0, 0
    for index, row in enumerate(rows):
        needed = len(payload_of(row)) + ROW_OVERHEAD_BYTES
        if size + needed > TRANSACTION_BYTES:
            yield rows[first:index]
            first, size = index, 0
        size += needed
    if first < len(rows):
        yield rows[first:]
