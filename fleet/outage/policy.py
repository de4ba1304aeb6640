"""How a device waits before it dials again: the contract of `protocol.traffic`, and what others do instead."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.outage.places import places
from protocol import traffic

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Indexes = NDArray[np.intp]

FIXED_SECONDS = 30.0
"""The fixed interval of many a firmware."""
BASE_SECONDS = 1.0
CAP_SECONDS = 120.0
"""Base and cap that libraries ship with: AWS's device SDKs start at 1 s and end at 120 s or 128 s."""
PICTURED = ("contract", "wide-then-backoff", "publish-schedule", "full-jitter", "fixed")
"""The policies that one picture can show and stay readable."""


@dataclass(frozen=True, kw_only=True)
class Tries:
    """Devices that are about to wait: an entry each."""

    devices: Indexes
    """Which of the fleet these are."""
    attempt: Counts
    """How often each has dialled; 0 before the first time."""
    previous: Floats
    """The wait before, in seconds."""
    now: Floats
    """When each knows that it must wait, in seconds since the cluster was lost."""
    uniform: Floats
    """A number in [0, 1) each."""


Waits = Callable[[Tries], Floats]
"""How long each waits, in seconds."""


@dataclass(frozen=True)
class Policy:
    """A way to wait, under the name it has on the command line."""

    name: str
    says: str
    waits: Waits


def contract(devices: int, connects_per_second: int, unplaced: float) -> Policy:
    """What `protocol.traffic.reconnect_delay` asks of a fleet of which some have no place, and the others a clock.

    Those with a place come up to `traffic.PLACED_SMEAR` after it.
    """
    even = traffic.even_share(unplaced=unplaced)
    window = traffic.reconnect_window(devices, connects_per_second, even=even).total_seconds()
    without, smear = round(devices * unplaced), traffic.PLACED_SMEAR.total_seconds()

    def waits(tries: Tries) -> Floats:
        earliest = np.where(tries.attempt == 0, 0.0, window / 2)
        turn = earliest + np.mod(window * places(tries.devices) - tries.now - earliest, window)
        by_chance = np.where(tries.attempt == 0, window * tries.uniform, window)
        return np.where(tries.devices < without, by_chance, turn + smear * tries.uniform)

    return Policy("contract", f"at its place in {window:.0f} s, {unplaced:.0%} of the devices by chance", waits)


def by_chance(devices: int, connects_per_second: int) -> Policy:
    """The contract where no device has a place."""
    window = traffic.reconnect_window(devices, connects_per_second).total_seconds()

    def waits(tries: Tries) -> Floats:
        return np.where(tries.attempt == 0, window * tries.uniform, window)

    return Policy("by-chance", f"random({window:.0f} s), then every {window:.0f} s", waits)


def wide_then_backoff(devices: int, connects_per_second: int) -> Policy:
    """The same first wait, then full jitter as `protocol.traffic.backoff_delay` has it."""
    window = traffic.reconnect_window(devices, connects_per_second).total_seconds()

    def waits(tries: Tries) -> Floats:
        return np.where(tries.attempt == 0, window, _backoff_bound(np.maximum(tries.attempt - 1, 0))) * tries.uniform

    return Policy("wide-then-backoff", f"random({window:.0f} s), then full jitter 30..600 s", waits)


def policies(devices: int, connects_per_second: int, unplaced: float = traffic.UNPLACED_SHARE) -> dict[str, Policy]:
    """Every policy of the comparison, by name, the contract first. `unplaced`: the share of devices without a place."""
    known = (
        contract(devices, connects_per_second, unplaced),
        by_chance(devices, connects_per_second),
        wide_then_backoff(devices, connects_per_second),
        Policy("backoff", "full jitter 30..600 s", lambda tries: _backoff_bound(tries.attempt) * tries.uniform),
        Policy("publish-schedule", "45 + random(30) s", _publish_schedule),
        Policy("fixed", f"every {FIXED_SECONDS:.0f} s", lambda tries: np.full(len(tries.attempt), FIXED_SECONDS)),
        Policy("no-jitter", "1 s, doubled up to 120 s", lambda tries: _bound(tries.attempt)),
        Policy("equal-jitter", "half of 1..120 s, half of it random", _equal_jitter),
        Policy("full-jitter", "random(1..120 s)", lambda tries: _bound(tries.attempt) * tries.uniform),
        Policy("decorrelated", "1 + random(3 x the wait before), up to 120 s", _decorrelated),
    )
    return {policy.name: policy for policy in known}


def _bound(attempt: Counts) -> Floats:
    return np.minimum(CAP_SECONDS, BASE_SECONDS * np.exp2(np.minimum(attempt, 10)))


def _backoff_bound(attempt: Counts) -> Floats:
    base, cap = traffic.BACKOFF_BASE.total_seconds(), traffic.BACKOFF_CAP.total_seconds()
    return np.minimum(cap, base * np.exp2(np.minimum(attempt, 10)))


def _publish_schedule(tries: Tries) -> Floats:
    return traffic.PUBLISH_FIXED.total_seconds() + traffic.PUBLISH_RANDOM.total_seconds() * tries.uniform


def _equal_jitter(tries: Tries) -> Floats:
    return _bound(tries.attempt) * (1 + tries.uniform) / 2


def _decorrelated(tries: Tries) -> Floats:
    """Source: "Exponential Backoff And Jitter", AWS Architecture Blog."""
    before = np.maximum(tries.previous, BASE_SECONDS)
    return np.minimum(CAP_SECONDS, BASE_SECONDS + (3 * before - BASE_SECONDS) * tries.uniform)
