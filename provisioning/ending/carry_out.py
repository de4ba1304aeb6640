"""End identities in the ledger, many a transaction; a rerun goes on where one was cut off."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from protocol.device_id import DeviceId
from provisioning.ending.plan_file import Row
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Reason, Step
from provisioning.ledger.rows import latest_of
from provisioning.ledger.times import as_microseconds

BATCH = 500
"""One sync of the disk for so many; what a kill can cost is one batch, which the rerun does again."""


class Outcome(StrEnum):
    """What became of a row."""

    ENDED = "ended"
    ENDED_BEFORE = "ended before"
    RENEWED = "has another identity by now"
    """It was ended meanwhile, and its device has a new one, which the plan does not name."""


@dataclass(frozen=True, slots=True)
class Done:
    """One row, carried out."""

    row: Row
    outcome: Outcome


def end(
    rows: Iterable[Row],
    ledger: Ledger,
    step: Step,
    reason: Reason,
    words: str,
    *,
    clock: Callable[[], datetime],
    batch: int = BATCH,
) -> Iterator[Done]:
    """End each identity that still stands; what is yielded is durable."""
    note = f"{reason}: {words}" if words else reason.value
    waiting = iter(rows)
    while some := tuple(itertools.islice(waiting, batch)):
        moment = as_microseconds(clock())
        done = []
        with ledger.adding(f"{len(some)} devices, {some[0].device} to {some[-1].device}") as entries:
            for row in some:
                latest = latest_of(ledger.connection, DeviceId(row.device))
                if latest is None or latest.number != row.issuance:
                    done.append(Done(row, Outcome.RENEWED))
                elif latest.is_ended:
                    done.append(Done(row, Outcome.ENDED_BEFORE))
                else:
                    entries.add("step", moment, row.issuance, row.issuance, step.value, "", note)
                    done.append(Done(row, Outcome.ENDED))
        yield from done
