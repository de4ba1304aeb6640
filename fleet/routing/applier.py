"""Carries a plan out: exactly its changes, each once, whatever happens on the way.

A batch goes through five writes, in this order: the journal says that it is about to be sent; the table holds its
routes, pending; Route 53 takes it; the journal holds the change's id; and once Route 53 says INSYNC the routes are
`pointed` and the journal closes the batch. Each may be repeated, so a run that was killed anywhere is taken up by the
next at the batch it died in. Batches wait for INSYNC side by side, and Route 53 is asked no more often than it must.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from fleet.errors import BlockedError, RefusedError, UnfinishedError, WorldMovedError
from fleet.routing.batches import Batch, pack
from fleet.routing.ground import Ground
from fleet.routing.plan import Change, Plan
from fleet.routing.route import Route, State
from fleet.routing.route_table import (
    MAX_WRITES,
    BatchEntry,
    BatchState,
    PlanEntry,
    PlanProgress,
    RouteTable,
    TableMovedError,
)
from fleet.routing.world_check import check_ground, check_world
from fleet.routing.zone import MAX_BATCH_RECORDS, ZoneUnknownChangeError
from fleet.routing.zone_writer import ConflictError, ZoneWriter

CLAIM = timedelta(minutes=10)
"""How long the zone is held. Renewed at half of it, before every change and every look, of which none waits longer."""
MAX_WAITING_BATCHES = 200
"""Batches sent and not yet in sync: a minute of them at Route 53's pace, and some; each is held in memory."""
FIRST_LOOK = timedelta(seconds=1)
"""How soon Route 53 is first asked whether a change is in sync. Its answers set the patience for all that follow."""
LONGER = 1.5
"""How much more patience the next look has when a change is not in sync yet; looks are requests too."""
LONGEST_PATIENCE = timedelta(seconds=60)
"""Changes are usually in sync within 60 s (Route 53 FAQ). One that takes longer teaches nothing about the next: it is
asked after again and again, and the others are not kept waiting for it."""
SYNC_WITHIN = timedelta(hours=1)
"""When a change is given up that Route 53 does not bring into sync: then a person should ask AWS."""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What carrying a plan out came to."""

    plan: str
    changes: int
    batches: int
    requests: int
    """To Route 53, in this run."""
    was_done: bool
    """It had been carried out before, and this run changed nothing."""


@dataclass
class _Waiting:
    batch: Batch
    change_id: str
    sent_at: datetime
    not_before: datetime
    """When it may be asked after: later with every look that came too early."""


@dataclass(kw_only=True)
class Applier:
    """Carries out plans in one deployment."""

    ground: Ground
    table: RouteTable
    writer: ZoneWriter
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    """Seconds."""
    holder: str
    """Who applies: written into the claim, the journal and the history."""
    largest: int = MAX_BATCH_RECORDS
    """Changes in one batch, at most. A plan that was begun is finished as it was begun, whatever this says."""
    _patience: timedelta = field(default=FIRST_LOOK)
    _claimed_at: datetime | None = None

    def apply(self, plan: Plan, on_progress: Callable[[int], None] = lambda _changes: None) -> Applied:
        """Carry the plan out, or go on with it. `on_progress` is told how many more changes have come into sync.

        `WorldMovedError`: nothing was done, make a new plan. `RefusedError`: another plan is being applied.
        `UnfinishedError`: what is done stands; run it again. `BlockedError`, one of those: it will meet the same again;
        see what `route check` says.
        """
        turns = self.writer.pace.turns
        entry = self.table.read_plan(plan.digest)
        if entry is not None and entry.progress is PlanProgress.STOPPED:
            raise WorldMovedError(f"plan {plan.digest[:12]} was rolled back and will not be done; plan anew")
        if entry is None or entry.progress is not PlanProgress.DONE:
            check_ground(plan, self.ground)
            self._claim(plan)
            try:
                if entry is None:
                    entry = self._begin(plan)
                self._carry_out(plan, entry, on_progress)
            finally:
                with suppress(UnfinishedError):
                    self.table.release_zone(plan.digest)
            self.table.write_plan(_done(entry, self.clock()))
            was_done = False
        else:
            was_done = True
        return Applied(
            plan=plan.digest,
            changes=plan.count,
            batches=len(self.table.read_batches(plan.digest)),
            requests=self.writer.pace.turns - turns,
            was_done=was_done,
        )

    def stop(self, plan: Plan) -> None:
        """Finish the batches of an unfinished plan that were begun, and see to it that no more of it is done.

        For a rollback: afterwards the table says truly what of the plan stands in the zone. Harmless when repeated, and
        for a plan that is done. `RefusedError`: it was never begun, or another plan is being applied.
        """
        entry = self.table.read_plan(plan.digest)
        if entry is None:
            raise RefusedError(f"plan {plan.digest[:12]} was never applied; there is nothing to roll back")
        if entry.progress is not PlanProgress.BEGUN:
            return
        check_ground(plan, self.ground)
        self._claim(plan)
        try:
            self._carry_out(plan, entry, lambda _changes: None, only_begun=True)
        finally:
            with suppress(UnfinishedError):
                self.table.release_zone(plan.digest)
        self.table.write_plan(replace(entry, progress=PlanProgress.STOPPED, done_at=self.clock()))

    def _begin(self, plan: Plan) -> PlanEntry:
        """Write down that the plan is begun, unless the world has moved since it was made."""
        check_world(plan, self.ground, self.table, now=self.clock())
        entry = PlanEntry(
            plan=plan.digest,
            progress=PlanProgress.BEGUN,
            begun_by=self.holder,
            begun_at=self.clock(),
            done_at=None,
            largest_batch=self.largest,
        )
        self.table.write_plan(entry)
        return entry

    def _carry_out(
        self, plan: Plan, begun: PlanEntry, on_progress: Callable[[int], None], *, only_begun: bool = False
    ) -> None:
        journal = self.table.read_batches(plan.digest)
        waiting: deque[_Waiting] = deque()
        for batch in pack(plan.changes(), largest=begun.largest_batch):
            entry = journal.get(batch.number)
            if only_begun and entry is None:
                continue
            if entry is not None and entry.state is BatchState.IN_SYNC:
                on_progress(len(batch.changes))
                continue
            if entry is not None and entry.state is BatchState.SENT:
                waiting.append(self._waiting(batch, entry.change_id))
            else:
                waiting.append(self._send(plan, batch))
            while waiting and (len(waiting) >= MAX_WAITING_BATCHES or self._is_due(waiting[0])):
                self._look(plan, waiting, on_progress)
        while waiting:
            self._look(plan, waiting, on_progress)

    def _send(self, plan: Plan, batch: Batch) -> _Waiting:
        """Send the batch, perhaps again; never with a device that was pinned since the plan was begun."""
        pinned = [change.device for change in batch.changes if change.device in self.ground.pins]
        if pinned:
            raise BlockedError(
                f"plan {plan.digest[:12]}: {', '.join(pinned[:5])} pinned in the stack file since, "
                "which owns the name now: roll the plan back, or take the pin out"
            )
        self._write_journal(plan, batch, BatchState.SENDING)
        try:
            for routes in _some(self._routes(plan, batch)):
                self.table.write(routes)
            change_id = self.writer.write(batch, self.ground.domain, hold=partial(self._keep_claim, plan))
        except (TableMovedError, ConflictError) as error:
            raise BlockedError(
                f"plan {plan.digest[:12]}, batch {batch.number}: {error}; the batches before it stand. See what is "
                "wrong with `route check`, mend it with `route check --repair`, and plan the rest anew"
            ) from error
        self._write_journal(plan, batch, BatchState.SENT, change_id)
        return self._waiting(batch, change_id)

    def _waiting(self, batch: Batch, change_id: str) -> _Waiting:
        now = self.clock()
        return _Waiting(batch, change_id, now, now)

    def _is_due(self, first: _Waiting) -> bool:
        return self.clock() >= self._due_at(first)

    def _due_at(self, first: _Waiting) -> datetime:
        return max(first.not_before, first.sent_at + self._patience)

    def _look(self, plan: Plan, waiting: deque[_Waiting], on_progress: Callable[[int], None]) -> None:
        """Wait until the oldest is due, ask after it, and close it when it is in sync."""
        first = waiting[0]
        wait = self._due_at(first) - self.clock()
        if wait > timedelta():
            self.sleep(wait.total_seconds())
        self._keep_claim(plan)
        try:
            is_in_sync = not first.change_id or self.writer.is_in_sync(first.change_id)
        except ZoneUnknownChangeError:
            waiting[0] = self._send(plan, first.batch)
            return
        if not is_in_sync:
            self._wait_longer(plan, first)
            return
        devices = [change.device for change in first.batch.changes]
        self.table.advance(plan.digest, devices, State.POINTED, at=self.clock())
        self._write_journal(plan, first.batch, BatchState.IN_SYNC, first.change_id)
        waiting.popleft()
        on_progress(len(devices))

    def _wait_longer(self, plan: Plan, first: _Waiting) -> None:
        """A look came too early: take more time for the next at this one, and for the first at those that follow."""
        now = self.clock()
        waited = now - first.sent_at
        if waited > SYNC_WITHIN:
            raise UnfinishedError(
                f"plan {plan.digest[:12]}: Route 53 has not brought change {first.change_id} into sync for {waited}; "
                "see the AWS Health Dashboard, then run this again"
            )
        first.not_before = now + min(waited * (LONGER - 1), LONGEST_PATIENCE)
        self._patience = min(max(self._patience, waited * LONGER), LONGEST_PATIENCE)

    def _routes(self, plan: Plan, batch: Batch) -> Iterator[Route]:
        now = self.clock()
        return (_route(plan, change, self.holder, now) for change in batch.changes)

    def _write_journal(self, plan: Plan, batch: Batch, state: BatchState, change_id: str = "") -> None:
        self.table.write_batch(plan.digest, BatchEntry(number=batch.number, state=state, change_id=change_id))

    def _claim(self, plan: Plan) -> None:
        now = self.clock()
        self.table.claim_zone(plan.digest, self.holder, now=now, until=now + CLAIM)
        self._claimed_at = now

    def _keep_claim(self, plan: Plan) -> None:
        """Renew the claim in good time; `UnfinishedError` when it ran out and another plan has the zone."""
        if self._claimed_at is not None and self.clock() - self._claimed_at <= CLAIM / 2:
            return
        try:
            self._claim(plan)
        except RefusedError as error:
            raise UnfinishedError(f"plan {plan.digest[:12]} lost the zone on the way: {error}") from error


def _route(plan: Plan, change: Change, holder: str, now: datetime) -> Route:
    return Route(
        device=change.device,
        revision=change.revision,
        target=change.after,
        kind=change.kind,
        owner=change.owner,
        reason=change.reason,
        expires=change.expires,
        returns_to=change.returns_to,
        state=State.PENDING,
        changed_by=holder,
        changed_at=now,
        plan=plan.digest,
        approved_by=plan.header.approved_by,
    )


def _done(entry: PlanEntry, now: datetime) -> PlanEntry:
    return replace(entry, progress=PlanProgress.DONE, done_at=now)


def _some(routes: Iterator[Route]) -> Iterator[list[Route]]:
    while some := list(islice(routes, MAX_WRITES)):
        yield some
