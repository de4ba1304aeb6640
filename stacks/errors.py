"""What is wrong with a stack, told so that a reviewer can put it right without reading our code."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: where it is, which rule it breaks, and the way out."""

    file: str
    line: int | None = None
    """Counted from 1; None where the whole file is meant."""
    key: str = ""
    """As the file spells it, such as `flotilla:pins[0].cluster`; empty where the whole file is meant."""
    rule: str
    way_out: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.key, f"{self.rule}; {self.way_out}") if part)


class StackError(ValueError):
    """A stack that cannot be used; holds every problem found, its text is one line a problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line or 0, problem.key)))
        super().__init__("\n".join(map(str, self.problems)))
