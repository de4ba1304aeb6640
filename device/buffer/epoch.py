"""The epoch: with it a sequence number names one row for ever, whatever became of the buffer's file.

Each start of the device has an epoch of its own. So nothing that is lost, restored or rolled back can make a number
come twice: not a quarantined file, not a lost log, not flash that forgot what it had promised.
"""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

EPOCH_FILE = "epoch"
LANES = 4
"""The two lowest bits of an epoch on the wire tell the priority: each has a sequence of its own."""
RANDOM_BITS = 25
"""A device without a clock and without its files draws one of 2^25: no two of its starts meet."""
EPOCH_BITS = 53
"""What every language's numbers hold exactly; the minutes above the random bits last until 2097."""

RandomBits = Callable[[int], int]
"""So many random bits; `secrets.randbits` in a device."""


def next_epoch(last: int, now: datetime, random_bits: RandomBits) -> int:
    """An epoch above `last`, a multiple of `LANES`: later than every earlier one wherever clock or memory are right."""
    minutes = max(0, int(now.timestamp() // 60))
    drawn = ((minutes << RANDOM_BITS) | random_bits(RANDOM_BITS)) * LANES
    return max(drawn % (1 << EPOCH_BITS), (last // LANES + 1) * LANES)


def recall_epoch(folder: Path) -> int:
    """The last epoch begun here; 0 when that is lost or unreadable, which is no reason not to work."""
    try:
        remembered = int((folder / EPOCH_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return remembered if 0 <= remembered < 1 << EPOCH_BITS else 0


def remember_epoch(folder: Path, epoch: int) -> None:
    """Keep `epoch` beside the buffer's file, durably; `OSError` when the flash does not take it."""
    partial = folder / f"{EPOCH_FILE}.partial"
    with partial.open("w", encoding="ascii") as file:
        file.write(str(epoch))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / EPOCH_FILE)
