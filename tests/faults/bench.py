"""Where faults strike: copies of one factory, and the calls of a sound run, counted."""

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.faults.warm import Order, WarmStation
from tests.faults.works import Work
from tests.power import CALLS, parsed
from tests.provisioning.factory import Factory, Finished

_RANDOM = re.compile(r"[0-9a-f]{16}")
"""In the names of files that are written aside."""


@dataclass(frozen=True)
class Point:
    """The nth call of its kind in a command, and what it was about."""

    call: str
    number: int
    about: str
    commits: int
    """Syncs of the ledger's log before it."""


@dataclass
class Bench:
    """Copies of a factory, one a case."""

    station: WarmStation
    opened: Factory
    """It has a ledger already, as on all days but the first."""
    untouched: Factory
    home: Path
    _used: int = 0
    _points: dict[str, list[Point]] = field(default_factory=dict)

    def factory(self, *, is_first: bool = False) -> Factory:
        """A fresh copy."""
        self._used += 1
        home = self.home / str(self._used)
        shutil.copytree((self.untouched if is_first else self.opened).home, home)
        return Factory(home)

    def run(
        self,
        factory: Factory,
        order: list[str | Path],
        *,
        strace: Sequence[str] = (),
        variant: str = "sound",
        clock_ahead: timedelta = timedelta(0),
        largest_file_bytes: int | None = None,
    ) -> Finished:
        return self.station.run(
            Order(
                arguments=order,
                out=factory.home / "out",
                err=factory.home / "err",
                strace=strace,
                variant=variant,
                clock_ahead=clock_ahead,
                largest_file_bytes=largest_file_bytes,
            )
        )

    def points(self, work: Work) -> list[Point]:
        """Every call of the sound work that changes the disk below the factory, or tells something."""
        if work.name not in self._points:
            self._points[work.name] = self._traced(work)
        return self._points[work.name]

    def _traced(self, work: Work) -> list[Point]:
        factory = self.factory(is_first=work.is_first)
        trace = factory.home.with_suffix(".trace")
        ran = self.run(factory, work.order(factory), strace=tracing(trace))
        assert ran.code == 0, ran.err
        return points_of(trace, factory)


def tracing(trace: Path) -> tuple[str, ...]:
    """Options that make strace write down the calls that change a disk."""
    return ("-o", str(trace), "-y", "-e", f"trace={CALLS}")


def points_of(trace: Path, factory: Factory) -> list[Point]:
    """The calls in a trace that change the disk below the factory, or tell something."""
    counted: Counter[str] = Counter()
    found, commits = [], 0
    for call in parsed(trace):
        counted[call.name] += 1
        is_ours = call.is_told or any(path.is_relative_to(factory.home) for path in call.paths)
        if is_ours and (call.creates or call.name != "openat"):
            about = "the answer" if call.is_told else str(call.paths[0].relative_to(factory.home))
            found.append(Point(call.name, counted[call.name], about, commits))
            commits += call.name == "fdatasync" and about.endswith("ledger.db-wal")
    return found


Place = tuple[str, str, int]
"""A call, a file, and how many commits of the ledger were before it."""


def places(points: Iterable[Point], devices: Iterable[str]) -> dict[Place, list[Point]]:
    """The points by what they do: the call, the file whichever device's it is, and how far the ledger is."""
    device = re.compile("|".join(map(re.escape, devices)) or "$^")
    found: dict[Place, list[Point]] = {}
    for point in points:
        about = device.sub("DEVICE", _RANDOM.sub("RANDOM", point.about))
        found.setdefault((point.call, about, point.commits), []).append(point)
    return found
