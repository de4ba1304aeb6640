"""How much is left out as the buffer fills: a coarse picture of a long outage rather than none of its beginning."""

PRESSURE = ((0.5, 2), (0.75, 4), (0.9, 8))
"""From this fullness on, one row in so many is kept. Each step lets what is left of the buffer last as long again
as the step before (half at 1 in 2, a quarter at 1 in 4): design decision of this buffer, not of a standard."""


def keep_every(fullness: float) -> int:
    """One row in so many is kept at this fullness (0 to 1); 1 keeps all."""
    return max((every for threshold, every in PRESSURE if fullness >= threshold), default=1)
