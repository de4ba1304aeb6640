"""Follow devices whose names lead elsewhere until each has settled, is moved back, or cannot be seen.

The loop around `moving.next_step`: look who is connected where, do what each device's step says, write down what is
proven, look again. Everything a killed run needs is in the route table and in the clusters, so a rerun goes on.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from fleet.routing.moving import (
    Ask,
    Done,
    Moving,
    Outcome,
    Return,
    SetState,
    Step,
    Wait,
    Waits,
    Watch,
    has_been_connected,
    next_step,
)
from fleet.routing.presence import Presence, Sighting
from fleet.routing.route import Route, State
from protocol.device_id import DeviceId

ASKS_PER_SECOND = 8
"""Devices asked to leave, over all clusters. A device that is new to its target costs its registrar one
UpdateCertificate, of which AWS IoT takes 10 a second; some devices come by themselves meanwhile. It is far below the
target's 500 CONNECT a second, and a device is asked twice in 90 s at the most, so 1 CONNECT a second and client id is
kept as well (AWS IoT quotas)."""
ASK_GROUP = 8
"""Devices written down as asked at once, just before they are: a second's worth."""
LOOK_EVERY = timedelta(seconds=15)
"""Between two looks: presence is minutes late at worst, so oftener shows little more."""


RETURNED = "moved back: "
"""How the reason of a revision begins that undoes a failed move; what was seen follows."""


class Routes(Protocol):
    """What following needs of the route table (`route_table.RouteTable`)."""

    def read(self, devices: Iterable[DeviceId], /) -> dict[DeviceId, Route]:
        """The routes of these devices as they stand."""

    def advance(self, plan: str, devices: Sequence[DeviceId], state: State, /, *, at: datetime) -> None:
        """Bring routes that `plan` made to a later state."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a plan wants of one device."""

    revision: int
    """The one that the plan made."""
    destinations: frozenset[str]
    """Clusters its name may lead it to; none for an address."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many devices are how far, by state; told after each round."""

    states: Mapping[State, int]
    unseen: int
    returned: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What became of a plan's devices, each in exactly one of these, sorted."""

    settled: tuple[DeviceId, ...]
    returned: Mapping[DeviceId, str]
    """Moved back, with what was seen."""
    unseen: tuple[DeviceId, ...]
    """Connected nowhere since the move began; their names lead to the target, and stay so."""
    superseded: tuple[DeviceId, ...]
    """Changed again by another plan, which follows them itself."""


@dataclass(kw_only=True)
class Follower:
    """One run. `waits`, clock and pace are what the test and the field differ in."""

    table: Routes
    presences: Mapping[str, Presence]
    """Every cluster."""
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    wait_turn: Callable[[], None]
    """Called before each asking; comes back when `ASKS_PER_SECOND` allows it."""
    move_back: Callable[[Mapping[DeviceId, str]], None]
    """Makes and applies the revision that undoes the move of these devices; its reason is `RETURNED` and the text."""
    waits: Waits = field(default_factory=Waits)
    look_every: timedelta = LOOK_EVERY

    def follow(
        self,
        plan: str,
        goals: Mapping[DeviceId, Goal],
        *,
        begun_at: datetime,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
    ) -> Followed:
        """Until nothing is left to do but for devices that nobody has seen. `begun_at`: when the plan's apply began."""
        run = _Run(self, plan, dict(goals), begun_at)
        run.begin()
        while run.is_under_way:
            on_progress(run.progress())
            self.sleep(run.pause().total_seconds())
            run.round()
        on_progress(run.progress())
        return run.result()


@dataclass
class _Run:
    follower: Follower
    plan: str
    goals: dict[DeviceId, Goal]
    begun_at: datetime
    moving: dict[DeviceId, Moving] = field(default_factory=dict)
    """Under way, or unseen; in the order of ids."""
    steps: dict[DeviceId, Step] = field(default_factory=dict)
    settled: list[DeviceId] = field(default_factory=list)
    returned: dict[DeviceId, str] = field(default_factory=dict)
    superseded: set[DeviceId] = field(default_factory=set)

    def begin(self) -> None:
        """Take up every device where the table says it is."""
        now = self.follower.clock()
        routes = self._read(self.goals)
        for device in sorted(routes):
            route, goal = routes[device], self.goals[device]
            self.moving[device] = Moving(
                device=device,
                destinations=goal.destinations,
                state=route.state,
                state_since=route.state_since or now,
                followed_since=now,
                was_connected=route.state is not State.POINTED,
                asks=0,
                asked_at=None,
                sightings=(),
            )
        self.round(only_connected=False)

    @property
    def is_under_way(self) -> bool:
        """Whether there is anything to wait for but devices that nobody has seen."""
        return any(not isinstance(step, Done) for step in self.steps.values())

    def pause(self) -> timedelta:
        """How long until there may be something to see or do."""
        waiting = [step.until for step in self.steps.values() if isinstance(step, Wait)]
        if any(isinstance(step, Ask | SetState) for step in self.steps.values()):
            return timedelta(0)
        busy = any(isinstance(step, Watch) for step in self.steps.values())
        if busy or not waiting:
            return self.follower.look_every
        return max(min(waiting) - self.follower.clock(), timedelta(0))

    def round(self, *, only_connected: bool = True) -> None:
        """Look, and do what follows; asking goes on for `look_every` at most, then it is time to look again."""
        self._look(only_connected=only_connected)
        self._decide()
        while self._advance():
            self._decide()
        self._return()
        ends = self.follower.clock() + self.follower.look_every
        while self.follower.clock() < ends and self._ask_group():
            pass
        self._decide()

    def progress(self) -> Progress:
        states = Counter(moving.state for moving in self.moving.values())
        states[State.SETTLED] = len(self.settled)
        return Progress(
            states=dict(states), unseen=len(self._unseen()), returned=len(self.returned), total=len(self.goals)
        )

    def result(self) -> Followed:
        return Followed(
            settled=tuple(sorted(self.settled)),
            returned=dict(sorted(self.returned.items())),
            unseen=self._unseen(),
            superseded=tuple(sorted(self.superseded)),
        )

    def _unseen(self) -> tuple[DeviceId, ...]:
        return tuple(device for device, step in self.steps.items() if step == Done(Outcome.UNSEEN))

    def _look(self, *, only_connected: bool) -> None:
        """Ask every cluster that has to do with a device under way, and remember its latest."""
        now = self.follower.clock()
        for cluster, presence in self.follower.presences.items():
            asked = [device for device, moving in self.moving.items() if self._concerns(cluster, moving)]
            if not asked:
                continue
            found = presence.look(asked, only_connected=only_connected)
            for device in asked:
                self._saw(device, cluster, found.get(device), now)

    def _concerns(self, cluster: str, moving: Moving) -> bool:
        """A device's first look is everywhere; later where it may be. One that nobody saw may be anywhere."""
        seen_in = {seen.cluster for seen in moving.sightings}
        return not seen_in or cluster in seen_in or cluster in moving.destinations

    def _saw(self, device: DeviceId, cluster: str, seen: Sighting | None, now: datetime) -> None:
        moving = self.moving[device]
        former = next((sighting for sighting in moving.sightings if sighting.cluster == cluster), None)
        if seen is None and former is not None:
            seen = replace(former, connected=False, since=now) if former.connected else former
        others = tuple(sighting for sighting in moving.sightings if sighting.cluster != cluster)
        sightings = others if seen is None else (*others, seen)
        self.moving[device] = replace(
            moving,
            sightings=sightings,
            was_connected=moving.was_connected or has_been_connected(sightings, self.begun_at),
        )

    def _decide(self) -> None:
        now = self.follower.clock()
        self.steps = {device: next_step(moving, now, self.follower.waits) for device, moving in self.moving.items()}
        for device in [device for device, step in self.steps.items() if step == Done(Outcome.SETTLED)]:
            self._forget(device)
            self.settled.append(device)

    def _advance(self) -> bool:
        """Write down what is proven; whether there was anything."""
        proven = {device: step for device, step in self.steps.items() if isinstance(step, SetState)}
        for state in (State.ARRIVED, State.SETTLED):
            devices = self._ours(device for device, step in proven.items() if step.state is state)
            for device in devices:
                for cluster in proven[device].former:
                    self.follower.presences[cluster].end_session(device)
            self._write(devices, state)
        return bool(proven)

    def _return(self) -> None:
        reasons = {device: step.reason for device, step in self.steps.items() if isinstance(step, Return)}
        failed = {device: reasons[device] for device in self._ours(reasons)}
        if failed:
            self.follower.move_back(failed)
        for device in failed:
            self._forget(device)
        self.returned |= failed

    def _ask_group(self) -> bool:
        """Ask some of those that are due; whether there were any."""
        due = {device: step for device, step in self.steps.items() if isinstance(step, Ask)}
        group = self._ours(list(due)[:ASK_GROUP])
        self._write(group, State.ASKED)
        for device in group:
            step = due[device]
            self.follower.wait_turn()
            self.moving[device] = replace(self.moving[device], asks=step.number, asked_at=self.follower.clock())
            self.follower.presences[step.cluster].drop(device)
            self.steps[device] = Watch()
        return bool(due)

    def _write(self, devices: Collection[DeviceId], state: State) -> None:
        if not devices:
            return
        now = self.follower.clock().astimezone(UTC)
        self.follower.table.advance(self.plan, list(devices), state, at=now)
        for device in devices:
            moving = self.moving[device]
            if _ORDER[moving.state] < _ORDER[state]:
                self.moving[device] = replace(moving, state=state, state_since=now)

    def _ours(self, devices: Iterable[DeviceId]) -> list[DeviceId]:
        """Those of the devices that nobody has sent elsewhere since."""
        wanted = list(devices)
        ours = self._read(wanted) if wanted else {}
        for device in wanted:
            if device not in ours:
                self._forget(device)
        return [device for device in wanted if device in ours]

    def _read(self, devices: Collection[DeviceId]) -> dict[DeviceId, Route]:
        routes = self.follower.table.read(devices)
        ours = {device: route for device, route in routes.items() if route.revision == self.goals[device].revision}
        for device in set(devices) - set(ours):
            route = routes.get(device)
            if route is not None and self._is_return(route):
                self.returned[device] = route.reason.removeprefix(RETURNED)
            else:
                self.superseded.add(device)
        return ours

    def _is_return(self, route: Route) -> bool:
        """Whether an earlier run of this plan has moved the device back already."""
        return route.revision == self.goals[route.device].revision + 1 and route.reason.startswith(RETURNED)

    def _forget(self, device: DeviceId) -> None:
        self.moving.pop(device, None)
        self.steps.pop(device, None)


_ORDER = {state: place for place, state in enumerate(State)}
