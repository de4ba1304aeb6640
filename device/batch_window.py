"""How many rows the next batch takes: small when data should be fresh, large when sending is dear or much waits."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from protocol.batch_window import BatchWindow
from protocol.topics import MAX_PAYLOAD_BYTES

PAYLOAD_SHARE = 0.75
"""Of a message that a batch is planned to fill: rows differ, and the next may compress worse than the last."""


@dataclass(frozen=True)
class Conditions:
    """How sending is now."""

    cost: float
    """From 0, nothing, to 1, the dearest tariff."""
    quality: float
    """The share of sends that arrive at the first try."""


def age_of_next_batch(contract: BatchWindow, conditions: Conditions) -> timedelta:
    """How old the oldest row of the next batch may become. `contract`: what the model promises, or less.

    From the freshest to the stalest, in proportion to the cost or the loss of the link, whichever is worse.
    """
    dearness = min(1.0, max(0.0, conditions.cost, 1 - conditions.quality))
    return contract.freshest + (contract.stalest - contract.freshest) * dearness


def rows_of_next_batch(
    contract: BatchWindow, conditions: Conditions, *, backlog: int, sample_every: timedelta, bytes_a_row: float
) -> int:
    """At least 1. `backlog`: rows that wait; `bytes_a_row`: on the wire, as the last batches had it.

    As many as are sampled within the age that the link allows; a longer backlog is taken whole. Then the contract's
    rows, then what a message holds, have the last word.
    """
    age = age_of_next_batch(contract, conditions)
    wanted = max(ceil(age / sample_every), backlog)
    bounded = min(max(wanted, contract.min_rows), contract.max_rows)
    return max(1, min(bounded, int(MAX_PAYLOAD_BYTES * PAYLOAD_SHARE / max(bytes_a_row, 1e-6))))


def rows_after_refusal(rows: int) -> int:
    """How many to try when a batch of `rows` was larger than a message: half, so that it ends, at one at the latest."""
    return max(1, rows // 2)
