"""How much is left out as the buffer fills: a coarse picture of a long outage rather than none of its beginning."""

from protocol.buffer_room import THINNING


def keep_every(fullness: float) -> int:
    """One row in so many is kept at this fullness (0 to 1); 1 keeps all."""
    return max((every for threshold, every in THINNING if fullness >= threshold), default=1)
