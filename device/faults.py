"""What of a device's measuring fails: told when it begins and when it is over, and counted each time in between.

A sensor that is broken for a year would else tell of it every second.
"""

from device.surroundings import Emit


class Faults:
    """One device's."""

    __slots__ = ("_emit", "_failing", "count")

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._failing: frozenset[str] = frozenset()
        self.count = 0
        """Since this start."""

    def failed(self, what: str, error: Exception) -> None:
        """`what` gave nothing this time: a channel, or what is told by name."""
        self.count += 1
        if what not in self._failing:
            self._failing |= {what}
            self._emit({"event": "sample_failed", "what": what, "reason": str(error) or repr(error)})

    def worked(self, what: str) -> None:
        """`what` did what it should."""
        if what in self._failing:
            self._failing -= {what}
            self._emit({"event": "sample_works", "what": what})
