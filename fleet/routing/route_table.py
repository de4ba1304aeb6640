"""The route table as plans and the applier see it. `dynamodb_route_table` is the real one; tests have one in memory.

Beside routes it holds, under keys that are no device ids, the journal of each plan that was begun, and who may change
the zone now. So a plan can be resumed from any machine that has its file.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from fleet.routing.route import Route, State
from protocol.device_id import DeviceId

MAX_WRITES = 50
"""Routes in one atomic write: two items each, and TransactWriteItems takes 100 (DynamoDB quota)."""


class TableMovedError(Exception):
    """Routes are not at the revision that was expected; nothing of that write was done."""

    def __init__(self, devices: Collection[DeviceId]) -> None:
        super().__init__(f"changed by somebody else meanwhile: {', '.join(sorted(devices)[:5])}")
        self.devices = frozenset(devices)


class BatchState(StrEnum):
    """How far one batch of a plan has come."""

    SENDING = "sending"
    """About to be sent, or sent and the answer not seen."""
    SENT = "sent"
    """Accepted; the change's id is known."""
    IN_SYNC = "in sync"
    """Route 53 answers with it everywhere, and its routes are `pointed`."""


@dataclass(frozen=True, kw_only=True)
class BatchEntry:
    """The journal's line of one batch."""

    number: int
    """From 0, in the plan's order."""
    state: BatchState
    change_id: str
    """Route 53's, once known; else empty."""


class PlanProgress(StrEnum):
    """How far a plan has come."""

    BEGUN = "begun"
    DONE = "done"
    STOPPED = "stopped"
    """What was begun of it is finished, and no more of it will be done: it is being rolled back."""


@dataclass(frozen=True, kw_only=True)
class PlanEntry:
    """The journal's heading of one plan. Times are UTC."""

    plan: str
    """The plan's digest."""
    progress: PlanProgress
    begun_by: str
    begun_at: datetime
    done_at: datetime | None
    largest_batch: int
    """Changes in one batch, at most: with the plan it says what the numbers in the journal stand for."""


class RouteTable(Protocol):
    """One environment's routes. Methods raise `fleet.errors.UnfinishedError` when the table cannot be asked."""

    def read(self, devices: Iterable[DeviceId]) -> dict[DeviceId, Route]:
        """The routes of these devices as they stand; those without one are left out."""

    def scan(self) -> Iterator[Route]:
        """Every route as it stands, in no order."""

    def history(self, device: DeviceId) -> tuple[Route, ...]:
        """Every revision of one device's route, oldest first; the last is the one that stands."""

    def revisions(self, wanted: Mapping[DeviceId, int]) -> dict[DeviceId, Route]:
        """One revision of each of these devices' histories; those that there are not are left out."""

    def expired(self, now: datetime) -> Iterator[Route]:
        """Routes as they stand whose expiry has come."""

    def write(self, routes: Sequence[Route]) -> None:
        """Add these revisions, each on top of the one before it; at most `MAX_WRITES`, all or none.

        Harmless when repeated: if the same plan has written all of them already, nothing happens. `TableMovedError`
        names the devices that somebody else changed.
        """

    def advance(self, plan: str, devices: Sequence[DeviceId], state: State, *, at: datetime) -> None:
        """Bring routes that `plan` made to a later state; those that it did not make, or that are further, stay.

        `at` becomes their `state_since`.
        """

    def read_plan(self, plan: str) -> PlanEntry | None:
        """The heading of a plan that was begun."""

    def write_plan(self, entry: PlanEntry) -> None:
        """Write the heading; harmless when repeated."""

    def read_batches(self, plan: str) -> dict[int, BatchEntry]:
        """The journal of a plan, by batch number."""

    def write_batch(self, plan: str, entry: BatchEntry) -> None:
        """Write one line of the journal over the former one."""

    def claim_zone(self, plan: str, holder: str, *, now: datetime, until: datetime) -> None:
        """Be the one who changes the zone, until then. `RefusedError` while another plan holds it.

        The same plan may take it over at once: whatever it does is harmless when done twice.
        """

    def release_zone(self, plan: str) -> None:
        """Let go, if this plan holds it."""
