"""The next step of one device under way, as a table: what is known, and what follows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

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
from fleet.routing.presence import Sighting
from fleet.routing.route import State
from protocol.device_id import parse_device_id

WAITS = Waits()
SECOND = timedelta(seconds=1)
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTLED = T0 + WAITS.settle
LATE = T0 + WAITS.arrive_within
LAG = T0 + WAITS.presence_lag
STAYED = WAITS.stable + WAITS.presence_lag


def connected(cluster: str, since: datetime = T0 - timedelta(hours=1)) -> Sighting:
    return Sighting(cluster=cluster, connected=True, since=since)


def gone(cluster: str, since: datetime) -> Sighting:
    return Sighting(cluster=cluster, connected=False, since=since)


def moving(state: State, *sightings: Sighting, **known: Any) -> Moving:
    facts: dict[str, Any] = {
        "destinations": frozenset({"us1"}),
        "state_since": T0,
        "followed_since": T0,
        "was_connected": True,
        "asks": 0,
        "asked_at": None,
    } | known
    return Moving(device=parse_device_id("d1"), state=state, sightings=sightings, **facts)


def asked(*sightings: Sighting, asks: int = 1, **known: Any) -> Moving:
    return moving(State.ASKED, *sightings, asks=asks, asked_at=T0, **known)


def resumed(*sightings: Sighting, **known: Any) -> Moving:
    """Asked, or about to be, by a run that was killed an instant later."""
    return moving(State.ASKED, *sightings, followed_since=T0 + SECOND, **known)


OLD, NEW = connected("eu1"), connected("us1", T0 + 5 * SECOND)
BACK = connected("eu1", T0 + 5 * SECOND)
ENDLESS_QUEUE = T0 + timedelta(days=1)


@pytest.mark.parametrize(
    ("known", "now", "step"),
    [
        pytest.param(moving(State.SETTLED), T0, Done(Outcome.SETTLED), id="nothing is left to do"),
        # pointed
        pytest.param(moving(State.POINTED, OLD), SETTLED - SECOND, Wait(SETTLED), id="a resolver may still lead back"),
        pytest.param(moving(State.POINTED, OLD), SETTLED, Ask("eu1", 1), id="no resolver can: it is asked"),
        pytest.param(moving(State.POINTED, OLD), ENDLESS_QUEUE, Ask("eu1", 1), id="its turn came late: still asked"),
        pytest.param(moving(State.POINTED, OLD, NEW), T0, SetState(State.ARRIVED), id="it came by itself"),
        pytest.param(
            moving(State.POINTED, connected("eu1", T0 + 9 * SECOND), NEW), SETTLED, Ask("eu1", 1), id="and left again"
        ),
        pytest.param(
            moving(State.POINTED, was_connected=False), SETTLED, Done(Outcome.UNSEEN), id="it was nowhere before"
        ),
        pytest.param(
            moving(State.POINTED, OLD, was_connected=False), SETTLED, Ask("eu1", 1), id="a sleeper that woke up there"
        ),
        pytest.param(
            moving(State.POINTED, gone("eu1", T0)), SETTLED, Watch(), id="it is between two connections; it may come"
        ),
        # asked by this run
        pytest.param(asked(gone("eu1", T0)), T0 + SECOND, Watch(), id="it was dropped"),
        pytest.param(asked(gone("eu1", T0), NEW), T0 + 6 * SECOND, SetState(State.ARRIVED), id="it is there"),
        pytest.param(asked(OLD, NEW), T0 + 6 * SECOND, SetState(State.ARRIVED), id="its old connection died unnoticed"),
        pytest.param(asked(BACK), SETTLED - SECOND, Watch(), id="it came back; its resolver may still hold the old"),
        pytest.param(asked(BACK), SETTLED, Ask("eu1", 2), id="it came back: asked once more"),
        pytest.param(asked(BACK, asks=2), LATE - SECOND, Watch(), id="never a third time"),
        pytest.param(
            asked(connected("eu1", T0 + 5 * SECOND), connected("us1", T0 - SECOND)),
            SETTLED,
            Ask("eu1", 2),
            id="what the target says is older",
        ),
        # asked by a run that was killed
        pytest.param(resumed(OLD), LAG, Watch(), id="what is known may be from before the asking"),
        pytest.param(resumed(OLD), LAG + SECOND, Ask("eu1", 1), id="it was never dropped: that asking was not made"),
        pytest.param(resumed(BACK), LAG + SECOND, Ask("eu1", 2), id="dropped once, and back: the second asking"),
        pytest.param(
            resumed(connected("eu1", SETTLED)), LAG + SECOND, Watch(), id="it may have been asked twice: left alone"
        ),
        pytest.param(resumed(NEW), T0 + 6 * SECOND, SetState(State.ARRIVED), id="it came meanwhile"),
        # arrived
        pytest.param(
            moving(State.ARRIVED, NEW), NEW.since + STAYED - SECOND, Watch(), id="it has not stayed yet"
        ),
        pytest.param(
            moving(State.ARRIVED, gone("eu1", T0), NEW),
            NEW.since + STAYED,
            SetState(State.SETTLED, ("eu1",)),
            id="it stays: the former cluster forgets it",
        ),
        pytest.param(moving(State.ARRIVED, connected("eu1", T0 + 9 * SECOND), NEW), SETTLED, Watch(), id="it flaps"),
        # to an address
        pytest.param(
            moving(State.POINTED, OLD, destinations=frozenset()), SETTLED, Ask("eu1", 1), id="helped away"
        ),
        pytest.param(
            asked(gone("eu1", T0), destinations=frozenset()), T0 + SECOND, Done(Outcome.UNSEEN), id="and out of sight"
        ),
        pytest.param(asked(BACK, destinations=frozenset()), LATE, Done(Outcome.UNSEEN), id="it will not go: no return"),
    ],
)  # fmt: skip
def test_the_next_step(known: Moving, now: datetime, step: Step) -> None:
    assert next_step(known, now, WAITS) == step


@pytest.mark.parametrize(
    ("known", "deadline", "says"),
    [
        (asked(OLD), LATE, "not in us1 within 25 min: it never left eu1, connected there since 11:00:00 UTC"),
        (asked(BACK, asks=2), LATE, "not in us1 within 25 min: it came back to eu1, connected there since 12:00:05"),
        (asked(gone("eu1", T0)), LATE, "not in us1 within 25 min: it vanished; last connected to eu1 until 12:00:00"),
        (
            moving(State.POINTED, gone("eu1", T0)),
            SETTLED + WAITS.arrive_within,
            "it vanished; last connected to eu1 until 12:00:00",
        ),
        (resumed(gone("eu1", T0)), LATE + SECOND, "it vanished"),
        (
            moving(State.ARRIVED, connected("us1", LATE - SECOND)),
            LATE,
            "it arrived in us1 and did not stay 60 s within 25 min: connected to us1 since 12:24:59",
        ),
        (moving(State.ARRIVED, connected("eu1", LATE - SECOND)), LATE, "connected to eu1 since 12:24:59"),
        (moving(State.ARRIVED, gone("us1", T0)), LATE, "connected nowhere; last connected to us1 until 12:00:00"),
    ],
)
def test_a_device_that_did_not_come_in_time_is_moved_back_with_what_was_seen(
    known: Moving, deadline: datetime, says: str
) -> None:
    assert not isinstance(next_step(known, deadline - SECOND, WAITS), Return), "it still had a second"
    step = next_step(known, deadline, WAITS)
    assert isinstance(step, Return)
    assert says in step.reason


def test_a_name_that_does_not_lead_there_yet_is_not_followed() -> None:
    with pytest.raises(ValueError, match="does not lead"):
        next_step(moving(State.PENDING), T0, WAITS)


def test_a_device_counts_as_connected_before_if_it_left_after_the_move_began() -> None:
    assert not has_been_connected([], T0)
    assert not has_been_connected([gone("eu1", T0)], T0)
    assert has_been_connected([gone("eu1", T0 + SECOND)], T0), "a killed run's own asking may have ended it"
    assert has_been_connected([OLD], T0)
