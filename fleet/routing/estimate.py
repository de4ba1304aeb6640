"""How long a plan will take and what it costs, before anybody begins: orders of magnitude, from published figures."""

import math
from dataclasses import dataclass
from datetime import timedelta

from fleet.routing.following import ASKS_PER_SECOND
from fleet.routing.moving import Waits
from fleet.routing.planner import Tally
from fleet.routing.target import Target
from fleet.routing.zone import MAX_BATCH_CHARACTERS, MAX_BATCH_RECORDS, REQUESTS_PER_SECOND
from protocol.hostnames import cluster_hostname

IN_SYNC = timedelta(seconds=60)
"""How long Route 53 takes until all its servers answer with a change (AWS: usually within 60 seconds)."""
FREE_RECORDS = 10_000
"""Records of a zone that its monthly fee covers (Route 53 pricing)."""
DOLLARS_PER_RECORD_MONTH = 0.0015
"""Of each record beyond (Route 53 pricing)."""
WRITE_UNITS_PER_CHANGE = 20
"""DynamoDB: a change and the four steps of its state write two items each, in transactions, at two units an item."""
DOLLARS_PER_WRITE_UNIT = 0.625e-6
"""DynamoDB on demand, us-east-1; other regions differ by up to a third (DynamoDB pricing)."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is to be expected of one plan."""

    batches: int
    """Change batches of Route 53."""
    requests: int
    """API requests of Route 53 at least: each batch, and one question whether it is in sync."""
    zone: timedelta
    """Until the zone answers with the last change everywhere."""
    follow: timedelta
    """From then until the last device that can be seen has settled, if all come when they are asked."""
    records_added: int
    """In the zone, in the end; fewer is negative."""
    dollars_once: float
    dollars_a_month: float | None
    """More or less than now; none when nobody counted the zone's records."""


def estimate(tally: Tally, domain: str, records_before: int | None) -> Estimate:
    """Of a plan's tally. `records_before`: records of devices in the zone now, where they were counted."""
    records = characters = added = moved = 0
    for (before, after), count in tally.moves.items():
        if before == after:
            continue
        moved += count
        added += count * (before.is_default - after.is_default)
        for value in filter(None, (_value(before, domain), _value(after, domain))):
            records += count
            characters += count * len(value)
    batches = max(math.ceil(records / MAX_BATCH_RECORDS), math.ceil(characters / MAX_BATCH_CHARACTERS))
    requests = 2 * batches
    monthly = None
    if records_before is not None:
        monthly = _dollars_a_month(records_before + added) - _dollars_a_month(records_before)
    return Estimate(
        batches=batches,
        requests=requests,
        zone=timedelta(seconds=math.ceil(requests / REQUESTS_PER_SECOND)) + (IN_SYNC if batches else timedelta()),
        follow=_follow(moved),
        records_added=added,
        dollars_once=tally.changes * WRITE_UNITS_PER_CHANGE * DOLLARS_PER_WRITE_UNIT,
        dollars_a_month=monthly,
    )


def _follow(moved: int) -> timedelta:
    """Past every resolver's memory, each asked in turn, and then seen to stay."""
    waits = Waits()
    asking = timedelta(seconds=math.ceil(moved / ASKS_PER_SECOND))
    return waits.settle + asking + waits.stable + waits.presence_lag if moved else timedelta()


def _value(target: Target, domain: str) -> str:
    return cluster_hostname(target.cluster, domain) if target.cluster else target.address


def _dollars_a_month(records: int) -> float:
    return max(0, records - FREE_RECORDS) * DOLLARS_PER_RECORD_MONTH
