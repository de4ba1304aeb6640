"""What a device does beside delivering: its failures are told, and deliver goes on."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from device.agent import Agent
from device.exchange import Exchange
from device.link import Call, Credentials, Link, Message, NotAcknowledgedError, OnMessage
from device.resolution import Route
from device.row_store import MemoryRows
from device.settings import Settings
from device.shelf import MemoryShelf
from protocol.device_id import DeviceId
from tests.device.desk import BUNDLE, reading
from tests.device.fake_link import FakeLink, settle, told
from tests.device.surroundings import surroundings

SERVER = "eu1.clusters.iot.example.com"


class Companion:
    """Hears one topic, and does what the test wants once connected."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.topic_filters = ("beside/1",)
        self.act = act
        self.heard: list[Message] = []

    def hear(self, message: Message) -> bool:
        self.heard.append(message)
        return message.topic == "beside/1"

    async def accompany(self, _link: Link) -> None:
        self.act()


def connected(companion: Companion, *, resumes: bool = False) -> tuple[list[dict[str, Any]], list[FakeLink]]:
    """The events of a device that delivers one batch, which its broker answers on the second connection."""
    events: list[dict[str, Any]] = []
    links: list[FakeLink] = []

    async def resolve(_device: DeviceId, _domain: str) -> Route:
        return Route((BUNDLE.hostname, SERVER), SERVER)

    async def dial(_call: Call, on_message: OnMessage, /) -> Link:
        on_message(Message("beside/1", b""))
        on_message(Message("elsewhere", b""))

        def answer(_topic: str, _payload: bytes) -> int:
            if len(links) == 1:
                raise NotAcknowledgedError("the connection is gone")
            return 0

        links.append(FakeLink(answer))
        links[-1].is_resumed = resumes
        return links[-1]

    async def work() -> None:
        agent = Agent(
            bundle=BUNDLE,
            settings=Settings(credentials=Credentials(Path(), Path(), Path()), batches=1, rows=1),
            surroundings=replace(surroundings(), resolve=resolve, dial=dial),
            store=MemoryRows(4, bound_bytes=10_000, emit=events.append),
            shelf=MemoryShelf(),
            source=lambda _moment: reading(1),
            emit=events.append,
        )
        agent.companions.append(companion)
        assert (await agent.run())["batches"] == 1

    asyncio.run(work())
    return events, links


def fail(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "event"),
    [(NotAcknowledgedError("not authorized"), "not_served"), (OSError(28, "No space left"), "companion_failed")],
)
def test_a_companion_that_fails_is_told_of_and_the_device_delivers(error: Exception, event: str) -> None:
    events, links = connected(Companion(fail(error)))
    assert len(links) == 2
    assert {each["what"] for each in told(events, event)} == {"companion"}
    assert len(told(events, "acknowledged")) == 1


def test_a_message_reaches_the_companion_it_is_for_and_one_for_nobody_is_told_of() -> None:
    companion = Companion(lambda: None)
    events, _ = connected(companion)
    assert [message.topic for message in companion.heard] == ["beside/1", "elsewhere"] * 2
    assert {each["topic"] for each in told(events, "unknown_message")} == {"elsewhere"}


@pytest.mark.parametrize("resumes", [True, False])
def test_a_session_that_the_broker_kept_is_not_subscribed_again(*, resumes: bool) -> None:
    """Unless this process never was: an earlier firmware may have wanted less."""
    _, links = connected(Companion(lambda: None), resumes=resumes)
    whole = {BUNDLE.topics.commands, "beside/1"}
    assert [set(link.subscribed) for link in links] == [whole, set() if resumes else whole]


def test_a_question_that_is_given_up_as_its_answer_comes_is_given_up() -> None:
    """A session that ends in that very moment would otherwise wait for ever for whoever asked."""

    async def given_up() -> None:
        exchange = Exchange(lambda: "token")
        asking = asyncio.ensure_future(exchange.ask(FakeLink(lambda _topic, _payload: 0), "topic", {}))
        await settle()
        assert exchange.hear(Message("topic/accepted", b'{"clientToken": "token"}'))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(given_up())
