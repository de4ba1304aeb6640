"""What is wrong with the rows of a file: how many of them must change, and the first ones in words."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

SHOWN = 100
"""Problems in words; whoever has more repairs these first."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that cannot be issued as it stands."""

    line: int
    column: str
    text: str


class Problems:
    """Those of a file or of a part of it, in 8 bytes each beside the first ones, in whatever order they are found."""

    def __init__(self) -> None:
        self.told: list[Problem] = []
        self.lines = array("Q")

    def add(self, problem: Problem) -> None:
        """One more; a row may have several."""
        self.lines.append(problem.line)
        self._tell([problem])

    def add_all(self, lines: Iterable[int], first: Iterable[Problem]) -> None:
        """A problem in each of `lines`, of which the `first` are told in words."""
        self.lines.extend(lines)
        self._tell(first)

    def take(self, other: "Problems") -> None:
        """Those of another part as well."""
        self.add_all(other.lines, other.told)

    @property
    def first(self) -> list[Problem]:
        """The first of them, by line."""
        return sorted(self.told, key=lambda each: each.line)[:SHOWN]

    @property
    def rows(self) -> int:
        """How many rows must change."""
        return len(np.unique(np.frombuffer(self.lines, dtype=np.uint64))) if self.lines else 0

    @property
    def is_more_than_shown(self) -> bool:
        """Whether some are not told in words."""
        return len(self.lines) > len(self.first)

    def __bool__(self) -> bool:
        return bool(self.lines)

    def _tell(self, more: Iterable[Problem]) -> None:
        self.told.extend(more)
        if len(self.told) > 2 * SHOWN:
            self.told = self.first
