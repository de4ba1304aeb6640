"""What goes wrong with a sensor is told and counted, and costs nothing but its own reading."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from device.agent import Agent
from device.link import Call, Credentials, Link, OnMessage
from device.resolution import Route
from device.row_store import MemoryRows
from device.settings import Settings
from device.shelf import MemoryShelf
from protocol.device_id import DeviceId
from protocol.measurement import Reading
from tests.device.desk import BUNDLE, MORNING, Desk, reading
from tests.device.fake_link import FakeLink, told
from tests.device.surroundings import surroundings

SERVER = "eu1.clusters.iot.example.com"
PATIENCE_SECONDS = 60
RULES: dict[str, dict[str, Any]] = {
    "as it was": {},
    "deadband": {"deadband": 0.5},
    "window": {"window_seconds": 60, "statistics": ["min", "mean"]},
}


def heard_of(desk: Desk) -> dict[str, list[str]]:
    """What came of each channel."""
    desk.sampler.finish()
    desk.deliver()
    values: dict[str, list[str]] = {}
    for each in (each for batch in desk.heard for row in batch.rows for each in row.readings):
        values.setdefault(each.channel, []).append(str(each.value))
    return values


def failing(desk: Desk, at: set[int]) -> Callable[[datetime], tuple[Reading, ...]]:
    def source(_moment: datetime) -> tuple[Reading, ...]:
        if int(desk.ran) in at:
            raise OSError(5, "I2C bus error")
        return reading(int(desk.ran))

    return source


def test_a_sensor_that_fails_is_told_once_until_it_works_again_and_every_other_moment_is_measured() -> None:
    desk = Desk()
    desk.sampler.source = failing(desk, at={2, 3, 5})
    desk.measure(6)
    assert heard_of(desk) == {"temperature": ["1", "4", "6"]}
    failures = told(desk.events, "sample_failed")
    assert [event["what"] for event in failures] == ["the sensors"] * 2, "not each second of a year"
    assert "I2C bus error" in failures[0]["reason"]
    assert len(told(desk.events, "sample_works")) == 2
    assert desk.sampler.faults.count == 3, "but each is counted"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "nonsense",
    [
        Reading("broken", Decimal("NaN"), "Cel"),
        Reading("broken", Decimal("sNaN"), "Cel"),
        Reading("broken", Decimal("Infinity"), "Cel"),
        Reading("broken", Decimal(1) / Decimal(3), "Cel"),
        Reading("broken", Decimal(10) ** 20, "Cel"),
        Reading("broken", Decimal(1), ""),
    ],
    ids=["NaN", "sNaN", "infinity", "28 digits", "65 bits", "no unit"],
)
def test_a_reading_that_no_batch_can_hold_costs_no_other_its_place(nonsense: Reading, rule: str) -> None:
    said = iter([Reading("broken", Decimal(1), "Cel"), nonsense, Reading("broken", Decimal(2), "Cel")])
    desk = Desk({"channels": {"broken": RULES[rule]}})
    desk.sampler.source = lambda _moment: (next(said), Reading("sound", Decimal(7), "Cel"))
    desk.measure(3)
    values = heard_of(desk)
    assert values.pop("sound") == ["7", "7", "7"]
    assert values == {"broken.min": ["1"], "broken.mean": ["1.5"]} if rule == "window" else {"broken": ["1", "2"]}
    assert [event["what"] for event in told(desk.events, "sample_failed")] == ["broken"]
    assert told(desk.events, "row_refused") == []


def test_a_channel_that_is_said_twice_is_taken_once() -> None:
    desk = Desk()
    desk.sampler.source = lambda _moment: (*reading(1), *reading(2))
    desk.measure(2)
    assert heard_of(desk) == {"temperature": ["1", "1"]}
    assert len(told(desk.events, "sample_failed")) == 1


@pytest.mark.parametrize("name", ["n" * 60, "n" * 64])
def test_a_statistic_whose_name_is_too_long_is_left_out_alone(name: str) -> None:
    rule = {"window_seconds": 60, "statistics": ["min", "mean"]}
    desk = Desk({"channels": {name: rule, "sound": rule}})
    desk.sampler.source = lambda _moment: (Reading(name, Decimal(1), "Cel"), Reading("sound", Decimal(7), "Cel"))
    desk.measure(3)
    kept = {f"{name}.min": ["1"]} if len(name) == 60 else {}
    assert heard_of(desk) == kept | {"sound.min": ["7"], "sound.mean": ["7"]}


def test_a_window_without_a_mean_is_given_up_and_the_next_one_begins() -> None:
    """28 digits are what the mean is counted in; 18 before the point and 18 behind are more."""
    desk = Desk({"channels": {"t": {"window_seconds": 1}}})
    said = iter([Decimal(10) ** 18, Decimal("1E-18"), Decimal(5), Decimal(6)])
    desk.sampler.source = lambda _moment: (Reading("t", next(said), "Cel"),)
    for step in (0.25, 0.5, 1, 1):
        desk.ran += step
        desk.sampler.sample()
    assert heard_of(desk)["t.mean"][-1:] == ["6"], "what came before does not stand in its way"
    assert [event["what"] for event in told(desk.events, "sample_failed")] == ["t"]


def agent_with(events: list[dict[str, Any]], **sampling: Any) -> Agent:
    """A device that delivers one row a batch, two batches; its sampler lives in a world of its own."""

    async def resolve(_device: DeviceId, _domain: str) -> Route:
        return Route((BUNDLE.hostname, SERVER), SERVER)

    async def dial(_call: Call, _on_message: OnMessage, /) -> Link:
        return FakeLink(lambda _topic, _payload: 0)

    world = replace(surroundings(), resolve=resolve, dial=dial, sleep=lambda _seconds: asyncio.sleep(0))
    agent = Agent(
        bundle=BUNDLE,
        settings=Settings(credentials=Credentials(Path(), Path(), Path()), batches=2, rows=1),
        surroundings=world,
        store=MemoryRows(4, bound_bytes=10_000, emit=events.append),
        shelf=MemoryShelf(),
        source=lambda _moment: reading(1),
        emit=events.append,
    )
    agent.sampler.surroundings = replace(world, **sampling)
    return agent


def test_a_moment_that_fails_for_whatever_reason_does_not_end_the_measuring() -> None:
    looks = count()

    def clock() -> datetime:
        if next(looks) == 1:
            raise RuntimeError("the clock's driver")
        return MORNING

    events: list[dict[str, Any]] = []
    assert asyncio.run(agent_with(events, clock=clock).run())["batches"] == 2
    assert [event["what"] for event in told(events, "sample_failed")] == ["the sampler"]
    assert len(told(events, "sample_works")) == 1


def test_a_device_whose_sampler_is_dead_does_not_go_on_as_if_it_were_well() -> None:
    async def broken(_seconds: float) -> None:
        raise RuntimeError("the timer is gone")

    events: list[dict[str, Any]] = []
    agent = agent_with(events, sleep=broken)
    with pytest.raises(RuntimeError, match="the timer is gone"):
        asyncio.run(asyncio.wait_for(agent.run(), PATIENCE_SECONDS))
    assert "the timer is gone" in told(events, "sampler_lost")[0]["reason"]
    assert agent.sender.delivered == 1, "what it had measured was delivered"
