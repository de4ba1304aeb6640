"""The outage model against an event loop in plain Python with the same rules: devices brought back a second.

The loop has a smaller fleet at the same number of ideal seconds, so that both do as much for each device.
"""

import heapq
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.measure import Clock, Result, compared, rate
from fleet.outage.broker import ANSWER_SECONDS, RefusingBroker
from fleet.outage.places import LEDGER
from fleet.outage.policy import policies
from fleet.outage.simulation import Outage, simulate
from protocol import traffic
from protocol.reconnect_place import reconnect_place

MILLION = Outage(devices=1_000_000, connects_per_second=500, seconds=1800)
SMALL = Outage(devices=20_000, connects_per_second=10, seconds=1800)
POLICIES = ("contract", "backoff")
"""The fewest tries a device, and many."""
ROUNDS = 3
LOST = datetime(1970, 1, 1, tzinfo=UTC)
"""When the cluster was lost: the model's second 0."""
LOOP = "a heap of events in plain Python, 20,000 devices"


def results(clock: Clock) -> Iterator[Result]:
    """Devices a second; 100,000 and more mean 1,000,000 devices in less than 10 s."""
    for policy in POLICIES:
        value = rate(lambda policy=policy: modelled(MILLION, policy), clock, ROUNDS)  # type: ignore[misc]
        limit = rate(lambda policy=policy: looped(SMALL, policy), clock, ROUNDS)  # type: ignore[misc]
        yield compared(f"outage, {policy}", value, "devices/s", limit=limit, against=LOOP)


def modelled(outage: Outage, policy: str) -> int:
    """How many devices the model brings back."""
    chosen = policies(outage.devices, outage.connects_per_second)[policy]
    return simulate(outage, chosen, RefusingBroker(outage.connects_per_second), np.random.default_rng(1)).back


def looped(outage: Outage, policy: str) -> int:
    """The same, one event after another, by the functions that a device calls."""
    number = random.Random(1).random  # noqa: S311 - a repeatable stream, no secret
    window = traffic.reconnect_window(outage.devices, outage.connects_per_second, even=traffic.even_share())
    without = round(outage.devices * traffic.UNPLACED_SHARE)

    def wait(device: int, attempt: int, now: float) -> float:
        if policy != "contract":
            return traffic.backoff_delay(attempt, number).total_seconds()
        if device < without:
            return traffic.reconnect_delay(attempt, number, window).total_seconds()
        place, moment = reconnect_place(device, LEDGER), LOST + timedelta(seconds=now)
        turn = traffic.reconnect_delay(attempt, number, window, place=place, now=moment)
        return (turn + traffic.PLACED_SMEAR * number()).total_seconds()

    events = [(wait(device, 0, 0.0), device, 0) for device in range(outage.devices)]
    heapq.heapify(events)
    taken: dict[int, int] = {}
    back = 0
    while events and events[0][0] < outage.watched_until:
        moment, device, attempt = heapq.heappop(events)
        second = int(moment)
        if moment >= outage.seconds and taken.get(second, 0) < outage.connects_per_second:
            taken[second] = taken.get(second, 0) + 1
            back += 1
        else:
            known = moment + ANSWER_SECONDS
            heapq.heappush(events, (known + wait(device, attempt + 1, known), device, attempt + 1))
    return back
