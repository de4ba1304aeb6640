"""How long a device's buffer lasts, as far as the cloud may count on it: assumed of every device."""

from datetime import timedelta

ROW_BYTES = 110
"""An ordinary row of five channels in a device's buffer (`device.buffer`: ten minutes of them fill 64 KiB)."""
BUFFER_BYTES = 8 * 1024 * 1024
"""8 MiB of flash for what waits."""
ROWS_PER_SECOND = 1.0
"""The agent's sampling."""


def lasts() -> timedelta:
    """How old the oldest row of a full buffer is: 21 hours."""
    return timedelta(seconds=BUFFER_BYTES // ROW_BYTES / ROWS_PER_SECOND)
