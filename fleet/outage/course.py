"""What came of an outage: the curves, and the numbers read from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.outage.policy import Counts, Floats, Policy


@dataclass(frozen=True)
class Course:
    """An outage from its first second to the end of the watch."""

    devices: int
    connects_per_second: int
    outage_seconds: int
    attempts: Counts
    """Connects a second, from the moment the cluster is lost."""
    back_at: Floats
    """When each device was connected again; NaN for one that is still away at the end of the watch."""
    dialled: Counts
    """How often each device dialled."""

    @property
    def accepted(self) -> Counts:
        """Devices let in a second."""
        seconds = self.back_at[np.isfinite(self.back_at)].astype(np.int64)
        return np.bincount(seconds, minlength=len(self.attempts))

    @property
    def watched_seconds(self) -> int:
        """How long was watched, from the loss of the cluster."""
        return len(self.attempts)

    @property
    def back(self) -> int:
        """Devices that are connected again."""
        return int(np.isfinite(self.back_at).sum())

    @property
    def peak(self) -> int:
        """The most connects in one second that the cluster's quota meets: from the moment it is back."""
        return int(self.attempts[self.outage_seconds :].max(initial=0))

    @property
    def peak_while_away(self) -> int:
        """The most connects in one second that meet nobody; networks and name servers see them all the same."""
        return int(self.attempts[: self.outage_seconds].max(initial=0))

    @property
    def ideal_seconds(self) -> float:
        """The shortest possible return."""
        return self.devices / self.connects_per_second

    def seconds_until_back(self, share: float) -> float | None:
        """From the end of the outage until this share of the fleet is connected; nothing if it never was."""
        needed = int(np.ceil(self.devices * share))
        if self.back < needed:
            return None
        ordered: NDArray[np.float64] = np.partition(np.nan_to_num(self.back_at, nan=np.inf), needed - 1)
        return float(ordered[needed - 1]) - self.outage_seconds

    @property
    def recovery(self) -> float | None:
        """The time until everyone is back over the ideal; nothing if some never were."""
        seconds = self.seconds_until_back(1)
        return None if seconds is None else seconds / self.ideal_seconds

    @property
    def attempts_a_device(self) -> float:
        """On average."""
        return float(self.dialled.mean())


@dataclass(frozen=True)
class Run:
    """A course, and what it is of."""

    policy: Policy
    broker: str
    """The broker's name."""
    course: Course
