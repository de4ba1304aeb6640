"""What is left out while the buffer fills, told and counted: a coarse picture must not pass for a whole one."""

from device.surroundings import Emit


class Thinning:
    """One device's."""

    __slots__ = ("_emit", "_told", "values")

    def __init__(self, emit: Emit) -> None:
        self._emit, self._told = emit, 1
        self.values = 0
        """Left out since this start."""

    def note(self, left_out: int, *, keeps_one_in: int) -> None:
        """What pressure did to one sample. Told when it becomes another, from the first value that it costs."""
        self.values += left_out
        if keeps_one_in != self._told and (left_out or keeps_one_in == 1):
            self._told = keeps_one_in
            self._emit({"event": "thinning", "keeps_one_in": keeps_one_in, "left_out": self.values})
