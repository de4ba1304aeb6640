"""One outage of one fleet under one policy, second by second once the cluster is back.

Every device loses its connection at second 0. All notice in that second, as when a cluster's processes end and their
sockets are closed; or over some minutes, as when a network falls silent and the keep-alive tells. While the cluster is
away no device depends on another, so each round of attempts is one array. Once it is back, the attempts of each second
meet the broker in the order of time.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from fleet.outage.broker import ANSWER_SECONDS, Broker
from fleet.outage.course import Course
from fleet.outage.policy import Counts, Floats, Indexes, Policy, Tries
from protocol.traffic import reconnect_window

BLOCK_SECONDS = 8
"""Who may dial in the next seconds is picked out of the fleet once in so many: an array of 1,000,000 is long."""
WATCHED_WINDOWS = 2
"""How many of the contract's windows are waited for everyone before the rest counts as not back: one for everybody's
turn, and one for those whom a second above the quota put off. The smaller the quota, the longer a window is."""
WATCHED_SECONDS = 1800
"""And at least half an hour."""


@dataclass(frozen=True)
class Outage:
    """How many devices lose a cluster for how long, and at which rate it takes them back."""

    devices: int
    connects_per_second: int
    seconds: int
    """Until the cluster is there again."""
    noticed_over_seconds: int = 0
    """How far apart devices notice that they lost it."""

    @property
    def ideal_seconds(self) -> float:
        """The shortest possible return: the quota used to the full from the first moment."""
        return self.devices / self.connects_per_second

    @property
    def watched_until(self) -> int:
        """The second at which the simulation ends even if devices are still away."""
        window = reconnect_window(self.devices, self.connects_per_second).total_seconds()
        return self.seconds + int(max(WATCHED_SECONDS, WATCHED_WINDOWS * window))


def simulate(outage: Outage, policy: Policy, broker: Broker, random: Generator) -> Course:
    """What happens, until everyone is back or the watch ends. The same seed gives the same course."""
    fleet = _Fleet.disconnected(outage, policy, random)
    attempts = np.zeros(outage.watched_until, dtype=np.int64)
    for times in fleet.dial_in_vain(until=outage.seconds):
        attempts += np.bincount(times.astype(np.int64), minlength=len(attempts))
    for second, candidates in _seconds(fleet, outage):
        due = fleet.due(candidates, before=second + 1)
        while len(due):
            attempts[second] += len(due)
            away = fleet.settle(due, broker.admit(fleet.next_at[due], second), broker.answer_seconds)
            due = fleet.due(away, before=second + 1)
    return Course(outage.devices, outage.connects_per_second, outage.seconds, attempts, fleet.back_at, fleet.attempt)


def _seconds(fleet: "_Fleet", outage: Outage) -> Iterator[tuple[int, Indexes]]:
    """Each second after the outage, with the devices that may dial in it, while any device is away."""
    for block in range(outage.seconds, outage.watched_until, BLOCK_SECONDS):
        end = min(block + BLOCK_SECONDS, outage.watched_until)
        candidates = np.flatnonzero(fleet.next_at < end)
        for second in range(block, end):
            yield second, candidates
        if not np.isfinite(fleet.next_at).any():
            return


@dataclass
class _Fleet:
    policy: Policy
    random: Generator
    next_at: Floats
    """When each device dials next; infinite once it is back."""
    waited: Floats
    attempt: Counts
    """How often each device has dialled."""
    back_at: Floats = field(init=False)
    """When each device was let in; NaN while it is away."""

    def __post_init__(self) -> None:
        self.back_at = np.full(len(self.next_at), np.nan)

    @classmethod
    def disconnected(cls, outage: Outage, policy: Policy, random: Generator) -> "_Fleet":
        count = outage.devices
        attempt, nothing = np.zeros(count, dtype=np.int64), np.zeros(count)
        fleet = cls(policy, random, next_at=nothing, waited=nothing, attempt=attempt)
        noticed = outage.noticed_over_seconds * random.random(count)
        fleet.waited = fleet._wait(np.arange(count), attempt, nothing, noticed)
        fleet.next_at = noticed + fleet.waited
        return fleet

    def dial_in_vain(self, *, until: float) -> Iterator[Floats]:
        """The times of a round of attempts that reach nobody, until every device dials after the outage only."""
        active = np.flatnonzero(self.next_at < until)
        times, waited = self.next_at[active], self.waited[active]
        for dialled in itertools.count(1):
            if not len(active):
                return
            yield times
            attempt = np.broadcast_to(np.int64(dialled), times.shape)
            waited = self._wait(active, attempt, waited, times + ANSWER_SECONDS)
            times = times + ANSWER_SECONDS + waited
            if (again := times < until).all():
                continue
            done = active[~again]
            self.next_at[done], self.waited[done], self.attempt[done] = times[~again], waited[~again], dialled
            active, times, waited = active[again], times[again], waited[again]

    def due(self, candidates: Indexes, *, before: float) -> Indexes:
        """The candidates that dial before this time, in the order in which they do."""
        due = candidates[self.next_at[candidates] < before]
        return due[np.argsort(self.next_at[due])]

    def settle(self, devices: Indexes, let_in_at: Floats, answer_seconds: float) -> Indexes:
        """Who was let in is back; the others, returned, wait by the policy, from when they know."""
        refused = np.isnan(let_in_at)
        back, away = devices[~refused], devices[refused]
        self.attempt[back] += 1
        self.back_at[back] = let_in_at[~refused]
        self.next_at[back] = np.inf
        self.attempt[away] += 1
        known_at = self.next_at[away] + answer_seconds
        self.waited[away] = self._wait(away, self.attempt[away], self.waited[away], known_at)
        self.next_at[away] = known_at + self.waited[away]
        return away

    def _wait(self, devices: Indexes, attempt: Counts, previous: Floats, now: Floats) -> Floats:
        drawn = self.random.random(len(devices))
        return self.policy.waits(Tries(devices=devices, attempt=attempt, previous=previous, now=now, uniform=drawn))
