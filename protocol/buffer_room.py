"""How long a device's buffer lasts, as far as the cloud may count on it: assumed of every device.

The reference device's buffer is this large unless told otherwise, and a test holds that it has room for as many rows.
"""

from datetime import timedelta

ROW_BYTES = 110
"""An ordinary row: five channels, encoded by itself (measured, docs/buffer.md)."""
STORED_ROW_BYTES = 137
"""What it takes of the flash, with its number, its checksum and its part of the page: 30 rows a page of 4,096 bytes."""
RESERVED_BYTES = 200_000
"""What of a buffer holds no rows: its log, and pages kept free for the next group (docs/buffer.md)."""
BUFFER_BYTES = 12 * 1024 * 1024
"""A day of rows at one a second."""
ROWS_PER_SECOND = 1.0
"""The agent's sampling."""
THINNING = ((0.5, 2), (0.75, 4), (0.9, 8))
"""From this fullness on, one row in so many is kept, of channels that allow it, as all do that are not told otherwise.
Each step lets what is left of the buffer last as long again as the step before (half at 1 in 2, a quarter at 1 in 4):
design decision of this buffer, not of a standard."""


def rows_held(buffer_bytes: int = BUFFER_BYTES) -> int:
    """How many ordinary rows a buffer holds, at least."""
    return max(0, buffer_bytes - RESERVED_BYTES) // STORED_ROW_BYTES


def filling() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """How a buffer fills: rows sampled, and the rows of them that are kept, both as shares of what it holds.

    Between two entries it is a straight line; what is sampled beyond the last one pushes the oldest out.
    """
    sampled, kept, every = [0.0], [0.0], 1
    for fullness, next_every in (*THINNING, (1.0, 0)):
        sampled.append(sampled[-1] + (fullness - kept[-1]) * every)
        kept.append(fullness)
        every = next_every
    return tuple(sampled), tuple(kept)


def lasts() -> timedelta:
    """How long a buffer keeps every row, until it thins out: 12.5 hours."""
    return timedelta(seconds=int(rows_held() * THINNING[0][0] / ROWS_PER_SECOND))
