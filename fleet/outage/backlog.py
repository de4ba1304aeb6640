"""What an outage does to the readings: how many wait in the devices, and whether any is lost."""

from dataclasses import dataclass

import numpy as np

from fleet.outage.course import Course
from protocol.buffer_room import BUFFER_BYTES, ROWS_PER_SECOND, THINNING, filling, rows_held


@dataclass(frozen=True)
class Backlog:
    """Of a whole fleet, in rows of measurements. A device still away when the watch ended counts up to there."""

    delayed: int
    """Rows that waited in a device and are, or will be, delivered."""
    thinned: int
    """Rows that were left out because the buffer was filling: the picture is coarser, and has no hole."""
    lost: int
    """Rows for which a buffer had no room: the oldest."""
    fullest: float
    """The longest backlog of a device, as a share of its buffer."""


def backlog(course: Course, *, buffer_bytes: int = BUFFER_BYTES, rows_per_second: float = ROWS_PER_SECOND) -> Backlog:
    """What was sampled while each device was away, against what its buffer holds."""
    room = rows_held(buffer_bytes)
    away = np.nan_to_num(course.back_at, nan=course.watched_seconds)
    rows = np.floor(away * rows_per_second).astype(np.int64)
    sampled, stored = filling()
    kept = np.ceil(np.interp(rows, np.multiply(sampled, room), np.multiply(stored, room))).astype(np.int64)
    # In a full buffer each row that is kept pushes one out.
    lost = np.maximum(0, rows - int(sampled[-1] * room)) // THINNING[-1][1]
    return Backlog(
        delayed=int(kept.sum()),
        thinned=int((rows - kept - lost).sum()),
        lost=int(lost.sum()),
        fullest=float(kept.max() / room),
    )
