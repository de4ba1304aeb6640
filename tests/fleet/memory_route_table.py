"""A route table in memory, for what the real one would make slow. `test_route_table.py` holds both to one contract."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from fleet.errors import RefusedError
from fleet.routing.route import Route, State
from fleet.routing.route_table import MAX_WRITES, BatchEntry, PlanEntry, TableMovedError
from protocol.device_id import DeviceId

_STATES = list(State)


class MemoryRouteTable:
    def __init__(self) -> None:
        self.revisions_of: dict[DeviceId, list[Route]] = {}
        self._plans: dict[str, PlanEntry] = {}
        self._batches: dict[str, dict[int, BatchEntry]] = {}
        self._claim: tuple[str, str, datetime] | None = None

    def read(self, devices: Iterable[DeviceId]) -> dict[DeviceId, Route]:
        return {device: self.revisions_of[device][-1] for device in devices if device in self.revisions_of}

    def scan(self) -> Iterator[Route]:
        return (revisions[-1] for revisions in list(self.revisions_of.values()))

    def history(self, device: DeviceId) -> tuple[Route, ...]:
        return tuple(self.revisions_of.get(device, ()))

    def revisions(self, wanted: Mapping[DeviceId, int]) -> dict[DeviceId, Route]:
        histories = {device: self.revisions_of.get(device, ()) for device in wanted}
        return {
            device: history[wanted[device] - 1]
            for device, history in histories.items()
            if 0 < wanted[device] <= len(history)
        }

    def expired(self, now: datetime) -> Iterator[Route]:
        return (route for route in self.scan() if route.expires is not None and route.expires <= now)

    def write(self, routes: Sequence[Route]) -> None:
        if len(routes) > MAX_WRITES:
            raise ValueError(f"{len(routes)} routes in one write; at most {MAX_WRITES}")
        fits = {route.device: len(self.revisions_of.get(route.device, ())) == route.revision - 1 for route in routes}
        if all(fits.values()):
            for route in routes:
                self.revisions_of.setdefault(route.device, []).append(route)
            return
        moved = [route.device for route in routes if not self._is_written(route)]
        if moved:
            raise TableMovedError(moved)

    def _is_written(self, route: Route) -> bool:
        revisions = self.revisions_of.get(route.device, [])
        return len(revisions) == route.revision and revisions[-1].plan == route.plan

    def advance(self, plan: str, devices: Sequence[DeviceId], state: State, *, at: datetime) -> None:
        rank = _STATES.index(state)
        for device in devices:
            revisions = self.revisions_of.get(device)
            if revisions and revisions[-1].plan == plan and _STATES.index(revisions[-1].state) < rank:
                revisions[-1] = replace(revisions[-1], state=state, state_since=at)

    def read_plan(self, plan: str) -> PlanEntry | None:
        return self._plans.get(plan)

    def write_plan(self, entry: PlanEntry) -> None:
        self._plans[entry.plan] = entry

    def read_batches(self, plan: str) -> dict[int, BatchEntry]:
        return dict(self._batches.get(plan, {}))

    def write_batch(self, plan: str, entry: BatchEntry) -> None:
        self._batches.setdefault(plan, {})[entry.number] = entry

    def claim_zone(self, plan: str, holder: str, *, now: datetime, until: datetime) -> None:
        if self._claim is not None and self._claim[0] != plan and self._claim[2] >= now:
            held_by, known_as, end = self._claim[1], self._claim[0][:12], self._claim[2].isoformat()
            raise RefusedError(f"the zone is being changed by {held_by} for plan {known_as}, until {end}")
        self._claim = (plan, holder, until)

    def release_zone(self, plan: str) -> None:
        if self._claim is not None and self._claim[0] == plan:
            self._claim = None
