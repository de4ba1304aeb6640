"""How far this machine's clock can be trusted, as far as the machine itself knows."""

import ctypes
from collections.abc import Callable
from datetime import datetime
from functools import cache

from protocol.measurement import ClockQuality

_TIMEX_BYTES = 208
"""`struct timex` of adjtimex(2) on Linux, whose first field, 0, asks and changes nothing."""
_TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronized."""


def clock_quality(
    *, clock: Callable[[], datetime], not_before: datetime, is_synchronized: Callable[[], bool]
) -> ClockQuality:
    """`not_before`: a moment that is surely past, such as the day the device's own certificate was made.

    A device without a battery for its clock starts in 1970, or whenever its image was built, and must not say that
    this is when it measured.
    """
    if clock() < not_before:
        return ClockQuality.UNKNOWN
    return ClockQuality.SYNCHRONIZED if is_synchronized() else ClockQuality.HELD


def kernel_is_synchronized() -> bool:
    """Whether Linux says that a time service keeps its clock; False where there is no such answer."""
    adjtimex = _adjtimex()
    return adjtimex is not None and 0 <= adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) < _TIME_ERROR


@cache
def _adjtimex() -> Callable[[object], int] | None:
    try:
        return ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
