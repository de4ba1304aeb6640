"""What an outage does to the readings: how many wait in the devices, and whether any is lost."""

from dataclasses import dataclass

import numpy as np

from fleet.outage.course import Course
from protocol.buffer_room import BUFFER_BYTES, ROW_BYTES, ROWS_PER_SECOND


@dataclass(frozen=True)
class Backlog:
    """Of a whole fleet, in rows of measurements. A device still away when the watch ended counts up to there."""

    delayed: int
    """Rows that waited in a device and are, or will be, delivered."""
    lost: int
    """Rows for which a buffer had no room."""
    fullest: float
    """The longest backlog of a device, as a share of its buffer."""


def backlog(course: Course, *, buffer_bytes: int = BUFFER_BYTES, rows_per_second: float = ROWS_PER_SECOND) -> Backlog:
    """What was sampled while each device was away, against what its buffer holds."""
    room = buffer_bytes // ROW_BYTES
    away = np.nan_to_num(course.back_at, nan=course.watched_seconds)
    rows = np.floor(away * rows_per_second).astype(np.int64)
    kept = np.minimum(rows, room)
    return Backlog(delayed=int(kept.sum()), lost=int((rows - kept).sum()), fullest=float(rows.max() / room))
