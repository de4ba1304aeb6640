"""When a device that lost its cluster dials again: at its place by the clock, or as chance has it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from device.agent import Agent, CannotConnectError
from device.agent_state import recall, remember_admission
from device.link import Call, ConnectionFailedError, Credentials, Ended, Link, OnMessage
from device.resolution import Route
from device.row_store import MemoryRows
from device.settings import Settings
from device.shelf import MemoryShelf
from protocol.device_id import DeviceId
from protocol.measurement import ClockQuality
from tests.device.desk import BUNDLE, reading
from tests.device.fake_link import FakeLink
from tests.device.surroundings import surroundings

SERVER = "eu1.clusters.iot.example.com"
WINDOW = timedelta(seconds=1000)
NOON = datetime(1970, 1, 1, 12, tzinfo=UTC)
"""200 s into a window: 43,200 s are 43 of them and a fifth."""
HANDSHAKE = timedelta(seconds=7)
"""How long a try takes to fail."""


def waits(place: float | None, quality: ClockQuality, *, chance: float = 0.5, lets_in: bool = False) -> Sequence[float]:
    """The waits before the first three tries of a device that its cluster knew and refuses, or lets in and drops."""
    events: list[dict[str, Any]] = []
    now = NOON

    async def resolve(_device: DeviceId, _domain: str) -> Route:
        return Route((BUNDLE.hostname, SERVER), SERVER)

    async def dial(_call: Call, _on_message: OnMessage, /) -> Link:
        nonlocal now
        now += HANDSHAKE if any(event["event"] == "failed" for event in events) else timedelta()
        if not lets_in:
            raise ConnectionFailedError("nobody answers")
        link = FakeLink(lambda _topic, _payload: 0)
        link.ended.set_result(Ended("nobody answers"))
        return link

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    async def nothing_to_measure(_seconds: float) -> None:
        await asyncio.Event().wait()

    shelf = MemoryShelf()
    remember_admission(shelf, recall(shelf), SERVER)
    world = replace(
        surroundings(),
        clock=lambda: now,
        clock_quality=lambda: quality,
        random=lambda: chance,
        sleep=sleep,
        resolve=resolve,
        dial=dial,
    )
    told = {"reconnect_window_seconds": int(WINDOW.total_seconds()), "reconnect_place": place}
    agent = Agent(
        bundle=BUNDLE.model_copy(update=told),
        settings=Settings(credentials=Credentials(Path(), Path(), Path()), attempts=4),
        surroundings=world,
        store=MemoryRows(4, bound_bytes=10_000, emit=events.append),
        shelf=shelf,
        source=lambda _moment: reading(1),
        emit=events.append,
    )
    agent.sampler.surroundings = replace(world, sleep=nothing_to_measure)
    with pytest.raises(CannotConnectError, match="nobody answers"):
        asyncio.run(agent.run())
    return [event["retry_in_seconds"] for event in events if event["event"] == "failed"]


def test_a_device_with_a_place_and_a_clock_dials_at_its_place_each_time() -> None:
    assert waits(0.25, ClockQuality.SYNCHRONIZED) == [50, 993, 993], "from 200 s to 250 s, then a window later each"
    assert waits(0.1, ClockQuality.HELD) == [900, 993, 993], "100 s are past: in the next window"


def test_a_device_whose_clock_was_never_set_counts_its_place_from_the_loss() -> None:
    assert waits(0.25, ClockQuality.UNKNOWN) == [250, 1000, 1000]


def test_a_device_of_an_older_factory_draws_its_place_by_chance() -> None:
    for quality in ClockQuality:
        assert waits(None, quality) == [500, 1000, 1000]


def test_a_fleet_that_is_let_in_and_dropped_again_is_scattered_each_time() -> None:
    """Exactly a window after they all were dropped, all would be back."""
    chances = [waits(None, ClockQuality.SYNCHRONIZED, chance=chance, lets_in=True) for chance in (0.25, 0.75)]
    assert chances == [[250, 750, 750], [750, 1250, 1250]]
    assert waits(0.25, ClockQuality.UNKNOWN, lets_in=True) == [250, 750, 750], "by its place, where it has one"
    assert waits(0.25, ClockQuality.SYNCHRONIZED, lets_in=True) == [50, 993, 993], "and by its clock"
