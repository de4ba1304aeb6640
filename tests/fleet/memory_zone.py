"""Route 53 in memory and in simulated time, with the limits of the real one; `test_zone.py` says which.

It stands behind the same boundary as the real one, so a million routes take seconds, and every request counts.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from fleet.routing.record_set import RecordSet, zone_order
from fleet.routing.zone import (
    MAX_BATCH_CHARACTERS,
    MAX_BATCH_RECORDS,
    MAX_PAGE_RECORD_SETS,
    REQUESTS_PER_SECOND,
    Create,
    Delete,
    Page,
    Upsert,
    ZoneChange,
    ZoneRefusedError,
    ZoneThrottledError,
    ZoneUnknownChangeError,
)

SOONEST_SYNC_SECONDS, LATEST_SYNC_SECONDS = 20.0, 60.0
"""Changes usually take no longer than 60 s to reach all Route 53 servers (Route 53 FAQ)."""


@dataclass
class SimulatedTime:
    now: datetime = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += timedelta(seconds=seconds)


@dataclass
class MemoryZone:
    time: SimulatedTime
    chance: Random = field(default_factory=lambda: Random(1))  # noqa: S311 - simulated time, not secrets
    busy_share: float = 0.0
    """How often a change meets one that Route 53 still works on (`PriorRequestNotComplete`)."""
    records: dict[str, dict[str, RecordSet]] = field(default_factory=dict)
    """Name to type to record set."""
    changes: int = 0
    looks: int = 0
    pages: int = 0
    throttled: int = 0
    _recent: deque[datetime] = field(default_factory=deque)
    _synced: dict[str, datetime] = field(default_factory=dict)
    _order: list[tuple[tuple[str, str], RecordSet]] | None = None

    @property
    def record_sets(self) -> set[RecordSet]:
        return {records for by_type in self.records.values() for records in by_type.values()}

    def change(self, changes: Sequence[ZoneChange]) -> str:
        self._count()
        self._measure(changes)
        if self.chance.random() < self.busy_share:
            self.throttled += 1
            raise ZoneThrottledError("PriorRequestNotComplete")
        self._do(changes)
        self._order = None
        self.changes += 1
        change_id = f"/change/C{self.changes:013d}"
        late = self.chance.uniform(SOONEST_SYNC_SECONDS, LATEST_SYNC_SECONDS)
        self._synced[change_id] = self.time.now + timedelta(seconds=late)
        return change_id

    def is_in_sync(self, change_id: str) -> bool:
        self._count()
        self.looks += 1
        if change_id not in self._synced:
            raise ZoneUnknownChangeError(change_id)
        return self.time.now >= self._synced[change_id]

    def page(self, start_name: str, start_type: str | None = None) -> Page:
        self._count()
        self.pages += 1
        if self._order is None:
            self._order = sorted((records.zone_order, records) for records in self.record_sets)
        start = (zone_order(start_name), start_type or "")
        first = bisect_left(self._order, start, key=lambda each: each[0])
        shown = [records for _, records in self._order[first : first + MAX_PAGE_RECORD_SETS + 1]]
        following = shown[MAX_PAGE_RECORD_SETS] if len(shown) > MAX_PAGE_RECORD_SETS else None
        return Page(
            record_sets=tuple(shown[:MAX_PAGE_RECORD_SETS]),
            others=(),
            next_name=following.name if following else None,
            next_type=following.type if following else None,
        )

    def forget_changes(self) -> None:
        """As if so much time had passed that Route 53 knows none of its changes any more."""
        self._synced.clear()

    def _count(self) -> None:
        """Five requests in any second, of all kinds."""
        second_ago = self.time.now - timedelta(seconds=1)
        while self._recent and self._recent[0] <= second_ago:
            self._recent.popleft()
        if len(self._recent) >= REQUESTS_PER_SECOND:
            self.throttled += 1
            raise ZoneThrottledError("Rate exceeded")
        self._recent.append(self.time.now)

    def _measure(self, changes: Sequence[ZoneChange]) -> None:
        times = [2 if isinstance(change, Upsert) else 1 for change in changes]
        records = sum(n * len(change.records.values) for n, change in zip(times, changes, strict=True))
        characters = sum(n * sum(map(len, change.records.values)) for n, change in zip(times, changes, strict=True))
        if not changes or records > MAX_BATCH_RECORDS or characters > MAX_BATCH_CHARACTERS:
            raise ZoneRefusedError(f"a batch of {records} records, {characters} characters")

    def _do(self, changes: Sequence[ZoneChange]) -> None:
        """All or none: only names that the batch touches are copied, so a million records stay cheap."""
        touched = {change.records.name: dict(self.records.get(change.records.name, {})) for change in changes}
        problems = []
        for change in changes:
            wanted, here = change.records, touched[change.records.name]
            match change:
                case Delete() if here.get(wanted.type) != wanted:
                    problems.append(f"Tried to delete {wanted.name} {wanted.type} but it was not found so")
                case Delete():
                    del here[wanted.type]
                case Create() if wanted.type in here:
                    problems.append(f"Tried to create {wanted.name} {wanted.type} but it already exists")
                case _:
                    here[wanted.type] = wanted
        problems += [
            f"{name}: a CNAME cannot stand beside {', '.join(sorted(here.keys() - {'CNAME'}))}"
            for name, here in touched.items()
            if "CNAME" in here and len(here) > 1
        ]
        if problems:
            raise ZoneRefusedError("; ".join(problems[:5]))
        for name, here in touched.items():
            if here:
                self.records[name] = here
            else:
                self.records.pop(name, None)
