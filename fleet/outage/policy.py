"""How a device waits before it dials again: the contract of `protocol.traffic`, and what others do instead."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol import traffic

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Waits = Callable[[Counts, Floats, Floats], Floats]
"""From attempt number (from 0), the wait before and a number in [0, 1) of each device to its next wait, in seconds."""

FIXED_SECONDS = 30.0
"""The fixed interval of many a firmware."""
BASE_SECONDS = 1.0
CAP_SECONDS = 120.0
"""Base and cap that libraries ship with: AWS's device SDKs start at 1 s and end at 120 s or 128 s."""
PICTURED = ("contract", "wide-then-backoff", "publish-schedule", "full-jitter", "fixed")
"""The policies that one picture can show and stay readable."""


@dataclass(frozen=True)
class Policy:
    """A way to wait, under the name it has on the command line."""

    name: str
    says: str
    waits: Waits


def contract(devices: int, connects_per_second: int) -> Policy:
    """What `protocol.traffic.reconnect_delay` asks of a device that was told the window of its fleet."""
    window = traffic.reconnect_window(devices, connects_per_second).total_seconds()

    def waits(attempt: Counts, _previous: Floats, uniform: Floats) -> Floats:
        return np.where(attempt == 0, window * uniform, window)

    return Policy("contract", f"random({window:.0f} s), then every {window:.0f} s", waits)


def wide_then_backoff(devices: int, connects_per_second: int) -> Policy:
    """The same first wait, then full jitter as `protocol.traffic.backoff_delay` has it."""
    window = traffic.reconnect_window(devices, connects_per_second).total_seconds()

    def waits(attempt: Counts, _previous: Floats, uniform: Floats) -> Floats:
        return np.where(attempt == 0, window, _backoff_bound(np.maximum(attempt - 1, 0))) * uniform

    return Policy("wide-then-backoff", f"random({window:.0f} s), then full jitter 30..600 s", waits)


def policies(devices: int, connects_per_second: int) -> dict[str, Policy]:
    """Every policy of the comparison, by name, the contract first."""
    known = (
        contract(devices, connects_per_second),
        wide_then_backoff(devices, connects_per_second),
        Policy("backoff", "full jitter 30..600 s", lambda attempt, _, uniform: _backoff_bound(attempt) * uniform),
        Policy("publish-schedule", "45 + random(30) s", _publish_schedule),
        Policy("fixed", f"every {FIXED_SECONDS:.0f} s", lambda attempt, *_: np.full(len(attempt), FIXED_SECONDS)),
        Policy("no-jitter", "1 s, doubled up to 120 s", lambda attempt, *_: _bound(attempt)),
        Policy("equal-jitter", "half of 1..120 s, half of it random", _equal_jitter),
        Policy("full-jitter", "random(1..120 s)", lambda attempt, _, uniform: _bound(attempt) * uniform),
        Policy("decorrelated", "1 + random(3 x the wait before), up to 120 s", _decorrelated),
    )
    return {policy.name: policy for policy in known}


def _bound(attempt: Counts) -> Floats:
    return np.minimum(CAP_SECONDS, BASE_SECONDS * np.exp2(np.minimum(attempt, 10)))


def _backoff_bound(attempt: Counts) -> Floats:
    base, cap = traffic.BACKOFF_BASE.total_seconds(), traffic.BACKOFF_CAP.total_seconds()
    return np.minimum(cap, base * np.exp2(np.minimum(attempt, 10)))


def _publish_schedule(_attempt: Counts, _previous: Floats, uniform: Floats) -> Floats:
    return traffic.PUBLISH_FIXED.total_seconds() + traffic.PUBLISH_RANDOM.total_seconds() * uniform


def _equal_jitter(attempt: Counts, _previous: Floats, uniform: Floats) -> Floats:
    return _bound(attempt) * (1 + uniform) / 2


def _decorrelated(_attempt: Counts, previous: Floats, uniform: Floats) -> Floats:
    """Source: "Exponential Backoff And Jitter", AWS Architecture Blog."""
    before = np.maximum(previous, BASE_SECONDS)
    return np.minimum(CAP_SECONDS, BASE_SECONDS + (3 * before - BASE_SECONDS) * uniform)
