"""A lasting wish of the cloud, and what comes after it: jobs, restarts, lost documents, another firmware."""

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from device.assembly import assemble
from device.buffer.row import Priority, Reason
from device.companion import Companion
from device.configuration_keeper import ConfigurationKeeper, InvalidConfigurationError
from device.exchange import Exchange
from device.link import Credentials, Message
from device.settings import Settings
from device.shadow import Shadow
from device.shelf import MemoryShelf
from protocol.batch_window import BatchWindow
from protocol.bundle import BUNDLE_FILE
from tests.device.desk import BUNDLE, DEVICE, MORNING, reading
from tests.device.fake_link import FakeLink, settle, told
from tests.device.surroundings import surroundings


class Cloud:
    """The shadow service with one document, and the device that starts in front of it again and again."""

    def __init__(self, desired: dict[str, Any], shelf: MemoryShelf | None = None) -> None:
        self.desired, self.shelf = desired, shelf or MemoryShelf()
        self.reported: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self._version = 1

    def start(self, job: dict[str, Any] | None = None) -> float:
        """How often the device samples in the end; `job`: what one configures meanwhile."""
        keeper = ConfigurationKeeper(self.shelf, BatchWindow())
        tokens = map(str, itertools.count())
        exchange = Exchange(lambda: next(tokens))
        shadow = Shadow(device=DEVICE, keeper=keeper, exchange=exchange, emit=self.events.append)
        self.meet(shadow, lambda: keeper.take(job) if job else None)
        return keeper.current.sample_seconds

    def meet(self, shadow: Companion, meanwhile: Callable[[], None] = lambda: None) -> None:
        """A connection until nothing moves any more; `meanwhile` happens in it."""

        def answer(topic: str, payload: bytes) -> int:
            body = json.loads(payload)
            if topic.endswith("/update"):
                merged = self.reported | body["state"]["reported"]
                self.reported = {key: value for key, value in merged.items() if value is not None}
                self._version += 1
            state = {"desired": self.desired, "reported": self.reported}
            said = {"state": state, "version": self._version, "clientToken": body["clientToken"]}
            message = Message(f"{topic}/accepted", json.dumps(said).encode())
            asyncio.get_running_loop().call_soon(shadow.hear, message)
            return 0

        async def connected() -> None:
            listening = asyncio.ensure_future(shadow.accompany(FakeLink(answer)))
            await settle()
            meanwhile()
            await settle()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

        asyncio.run(connected())


def test_what_a_job_configured_after_a_wish_outlives_restarts_and_a_new_wish_is_taken() -> None:
    cloud = Cloud({"sample_seconds": 10})
    assert cloud.start() == 10
    assert cloud.start(job={"sample_seconds": 60}) == 60
    assert [cloud.start(), cloud.start()] == [60, 60]
    assert cloud.reported == {"sample_seconds": 60}, "and the difference to the wish stays for an operator to see"
    cloud.desired = {"sample_seconds": 20}
    assert [cloud.start(), cloud.start()] == [20, 20]
    assert len(told(cloud.events, "configured")) == 2, "each wish is taken once"


@pytest.mark.parametrize("lost", ["configuration.json", "wish.json"])
@pytest.mark.parametrize("damage", [b"", b"{", b'{"of": "a newer firmware"}'])
def test_a_device_that_lost_a_document_works_by_the_wish_again(lost: str, damage: bytes) -> None:
    cloud = Cloud({"sample_seconds": 10})
    cloud.start()
    cloud.shelf.write(lost, damage)
    assert [cloud.start(), cloud.start()] == [10, 10]


def test_a_wish_that_was_refused_is_judged_again_by_the_next_start_which_may_know_more() -> None:
    cloud = Cloud({"sample_seconds": 10, "colour": "red"})
    for _ in range(2):
        assert cloud.start() == 1
        assert list(cloud.reported["rejected"]) == ["colour"], "and the reason stands there as long"
    assert len(told(cloud.events, "configuration_rejected")) == 2
    keeper = ConfigurationKeeper(cloud.shelf, BatchWindow())
    with pytest.raises(InvalidConfigurationError):
        keeper.take_wish(cloud.desired)
    assert keeper.wish is None


class WithoutWish(MemoryShelf):
    """Flash that became full between two documents."""

    def write(self, name: str, content: bytes) -> None:
        if name == "wish.json":
            raise OSError(28, "No space left on device", name)
        super().write(name, content)


def test_a_wish_that_cannot_be_remembered_is_worked_by_all_the_same() -> None:
    cloud = Cloud({"sample_seconds": 10}, WithoutWish())
    assert [cloud.start(), cloud.start()] == [10, 10]


def test_the_times_to_live_of_a_wish_rule_the_buffer_at_once_and_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / BUNDLE_FILE).write_text(BUNDLE.model_dump_json(), encoding="utf-8")
    events: list[dict[str, Any]] = []
    settings = Settings(credentials=Credentials(tmp_path, tmp_path, tmp_path))
    now = 0.0
    world = replace(surroundings(), monotonic=lambda: now)
    cloud = Cloud({"time_to_live_seconds": {"bulk": 1000}})
    for start in (1, 2):
        agent = assemble(tmp_path, settings, world, emit=events.append)
        if start == 1:
            cloud.meet(next(each for each in agent.companions if isinstance(each, Shadow)))
        agent.sampler.put(Priority.NORMAL, MORNING, reading(1))
        agent.sampler.put(Priority.BULK, MORNING, reading(2))
        agent.sampler.hand_over()
        now += 1001
        chunk = agent.store.oldest(1)
        assert chunk, "an ordinary row lives on"
        agent.store.acknowledge(chunk)
        assert agent.store.oldest(1) is None, "the other does not"
        assert agent.store.dropped == {Reason.EXPIRED: start}
        agent.store.close()
    assert [event["priority"] for event in told(events, "buffer_dropped")] == ["bulk", "bulk"]
