"""Orders are carried out once, wherever the device or its connection dies: each place in turn is where it dies."""

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from device.exchange import Exchange
from device.jobs.handler import Handler, UnacceptableError
from device.jobs.jobs import Jobs
from device.jobs.journal import JOURNAL_FILE, KEPT_ORDERS, Journal
from device.jobs.move import Move
from device.jobs.order import Order, Status, Verdict
from device.jobs.reboot import Reboot
from device.link import Message, NotAcknowledgedError
from device.shelf import MemoryShelf
from protocol.device_id import parse_device_id
from protocol.topics import jobs_prefix
from tests.device.fake_link import FakeLink, settle, told

DEVICE = parse_device_id("device1")
PREFIX = jobs_prefix(DEVICE)
TOKENS = itertools.count()


class DeadError(Exception):
    """The power is gone."""


@dataclass
class Power:
    """Goes out at a chosen one of all the moments at which something is written or sent."""

    left: int = 10**9

    def use(self) -> None:
        if self.left <= 0:
            raise DeadError
        self.left -= 1


@dataclass
class Execution:
    document: dict[str, Any]
    status: str = "QUEUED"
    version: int = 1
    number: int = 1
    reason: str = ""


@dataclass
class Cloud:
    """AWS IoT Jobs, as far as one device asks of it ("Device MQTT APIs"); tests/e2e ask the embedded one."""

    executions: dict[str, Execution] = field(default_factory=dict)
    meddle: Callable[[Execution], None] = lambda _execution: None
    """What somebody else does to an execution right after it was handed out."""

    def answer(self, topic: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        verb = topic.removeprefix(f"{PREFIX}/")
        if verb == "start-next":
            open_ones = {j: e for j, e in self.executions.items() if e.status in {"QUEUED", "IN_PROGRESS"}}
            for job, execution in open_ones.items():
                if execution.status == "QUEUED":
                    execution.status, execution.version = "IN_PROGRESS", execution.version + 1
                view = self._view(job, execution)
                self.meddle(execution)
                return "accepted", {"execution": view}
            return "accepted", {}
        job, verb = verb.split("/")
        execution = self.executions[job]
        if verb == "get":
            return "accepted", {"execution": self._view(job, execution)}
        if execution.status not in {"QUEUED", "IN_PROGRESS"}:
            return "rejected", {"code": "TerminalStateReached", "message": execution.status}
        if body["expectedVersion"] != execution.version:
            return "rejected", {"code": "VersionMismatch", "message": "another version"}
        execution.status, execution.reason = body["status"], body["statusDetails"]["reason"]
        execution.version += 1
        return "accepted", {}

    def _view(self, job: str, execution: Execution) -> dict[str, Any]:
        return {
            "jobId": job,
            "status": execution.status,
            "executionNumber": execution.number,
            "versionNumber": execution.version,
            "jobDocument": execution.document,
        }


class Count:
    """An operation whose effect is to be seen once; a restart can see whether it was there."""

    def __init__(self, power: Power, effects: list[str]) -> None:
        self.power, self.effects = power, effects

    async def carry_out(self, order: Order) -> Verdict | None:
        if order.document.get("is_odd"):
            raise UnacceptableError("an odd order")
        self.power.use()
        self.effects.append(order.key)
        self.power.use()
        return Verdict(Status.SUCCEEDED, "counted")

    async def resume(self, order: Order, begun_at_boot: int) -> Verdict | None:
        assert begun_at_boot > 0
        if order.key in self.effects:
            return Verdict(Status.SUCCEEDED, "counted before")
        return await self.carry_out(order)

    def after_telling(self, _order: Order) -> None:
        return


class PoweredShelf(MemoryShelf):
    """Loses power before or after a write, never within one."""

    def __init__(self) -> None:
        super().__init__()
        self.power = Power()

    def write(self, name: str, content: bytes) -> None:
        self.power.use()
        super().write(name, content)
        self.power.use()


@dataclass
class Device:
    """One device over all its starts."""

    cloud: Cloud
    power: Power = field(default_factory=Power)
    shelf: PoweredShelf = field(default_factory=PoweredShelf)
    effects: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    boot: int = 0
    summons: int = 0

    def summon(self) -> None:
        self.summons += 1

    def restart(self) -> None:
        raise DeadError

    async def live(self) -> None:
        """One start: until nothing is left to do, or the power goes."""
        self.boot += 1
        self.shelf.power = self.power
        handlers: dict[str, Handler] = {
            "count": Count(self.power, self.effects),
            "move": Move(self.summon),
            "reboot": Reboot(boot=self.boot, restart=self.restart),
        }
        jobs = Jobs(
            device=DEVICE,
            boot=self.boot,
            journal=Journal(self.shelf),
            handlers=handlers,
            exchange=Exchange(lambda: str(next(TOKENS))),
            emit=self.events.append,
        )

        def answer(topic: str, payload: bytes) -> int:
            self.power.use()
            body = json.loads(payload)
            kind, reply = self.cloud.answer(topic, body)
            self.power.use()
            wire = json.dumps(reply | {"clientToken": body["clientToken"]}).encode()
            asyncio.get_running_loop().call_soon(jobs.hear, Message(f"{topic}/{kind}", wire))
            return 0

        working = asyncio.ensure_future(jobs.accompany(FakeLink(answer)))
        await settle(200)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    def lives(self, *, times: int = 4) -> None:
        for _ in range(times):
            asyncio.run(self.live())
            self.power.left = 10**9


DOCUMENTS: list[dict[str, Any]] = [
    {"operation": "count"},
    {"operation": "count", "is_odd": True},
    {"operation": "reboot"},
    {"operation": "dance"},
    {"operation": "count"},
    {"operation": "move"},
]
EXPECTED = ["SUCCEEDED", "REJECTED", "SUCCEEDED", "REJECTED", "SUCCEEDED", "SUCCEEDED"]


def cloud_of(*documents: dict[str, Any]) -> Cloud:
    return Cloud({f"job-{number}": Execution(dict(document)) for number, document in enumerate(documents)})


def moments() -> int:
    """How many there are in a life in which nothing goes wrong."""
    device = Device(cloud_of(*DOCUMENTS), power=Power(10**6))
    whole = device.power
    asyncio.run(device.live())
    asyncio.run(device.live())
    return 10**6 - whole.left


def test_wherever_the_power_goes_each_order_is_carried_out_once_and_told_of() -> None:
    total = moments()
    assert total > 40, "there are writes and messages to die at"
    for moment in range(total):
        device = Device(cloud_of(*DOCUMENTS), power=Power(moment))
        device.lives()
        executions = list(device.cloud.executions.values())
        assert [execution.status for execution in executions] == EXPECTED, moment
        assert device.effects == ["job-0/1", "job-4/1"], f"dead at moment {moment}"
        assert "start number" in executions[2].reason


def test_an_order_that_is_over_is_only_told_of_again_when_the_cloud_did_not_hear_it() -> None:
    """Nobody asks its handler how far it got: that is written down."""
    device = Device(cloud_of({"operation": "count"}))
    answered, losses = device.cloud.answer, iter([True])

    def lose_one(topic: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if topic.endswith("/update") and next(losses, False):
            raise NotAcknowledgedError("the connection is gone")
        return answered(topic, body)

    device.cloud.answer = lose_one  # type: ignore[method-assign]  # a fault is injected where it happens
    device.lives(times=2)
    execution = device.cloud.executions["job-0"]
    assert (execution.status, execution.reason) == ("SUCCEEDED", "counted")
    assert told(device.events, "job_resumed") == []


def test_an_order_with_a_new_execution_number_is_a_new_order() -> None:
    device = Device(cloud_of({"operation": "count"}))
    device.lives(times=1)
    device.cloud.executions["job-0"] = Execution({"operation": "count"}, number=2)
    device.lives(times=1)
    assert device.effects == ["job-0/1", "job-0/2"]


def test_an_order_that_was_changed_while_it_ran_is_told_of_under_its_new_version() -> None:
    def touch(execution: Execution) -> None:
        execution.version += 3

    device = Device(cloud_of({"operation": "count"}))
    device.cloud.meddle = touch
    device.lives(times=1)
    assert device.cloud.executions["job-0"].status == "SUCCEEDED"


def test_an_order_that_was_taken_back_while_it_ran_is_left_and_the_next_one_begun() -> None:
    def take_back(execution: Execution) -> None:
        if execution is device.cloud.executions["job-0"]:
            execution.status, execution.version = "CANCELED", execution.version + 1

    device = Device(cloud_of({"operation": "count"}, {"operation": "count"}))
    device.cloud.meddle = take_back
    device.lives(times=1)
    assert [execution.status for execution in device.cloud.executions.values()] == ["CANCELED", "SUCCEEDED"]
    assert [event["job"] for event in told(device.events, "job_outdated")] == ["job-0"]


def test_nothing_is_begun_that_cannot_be_written_down() -> None:
    class Full(PoweredShelf):
        def write(self, name: str, content: bytes) -> None:
            raise OSError(28, "No space left on device")

    device = Device(cloud_of({"operation": "count"}), shelf=Full())
    device.lives(times=1)
    execution = device.cloud.executions["job-0"]
    assert (execution.status, device.effects) == ("FAILED", [])
    assert "nothing was done" in execution.reason


def test_a_device_that_moves_says_so_before_it_goes() -> None:
    device = Device(cloud_of({"operation": "move"}))
    device.lives(times=1)
    assert (device.cloud.executions["job-0"].status, device.summons) == ("SUCCEEDED", 1)


def test_a_broker_without_jobs_is_known_by_its_refusal() -> None:
    async def refused() -> None:
        def answer(_topic: str, _payload: bytes) -> int:
            raise NotAcknowledgedError("refused: NOT_AUTHORIZED")

        device = Device(cloud_of())
        device.shelf.power = device.power
        jobs = Jobs(
            device=DEVICE,
            boot=1,
            journal=Journal(device.shelf),
            handlers={},
            exchange=Exchange(lambda: "t"),
            emit=device.events.append,
        )
        await jobs.accompany(FakeLink(answer))

    with pytest.raises(NotAcknowledgedError, match="NOT_AUTHORIZED"):
        asyncio.run(refused())


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"entries": [{"key": 1}]}'])
def test_a_damaged_book_is_an_empty_one(damage: bytes) -> None:
    shelf = MemoryShelf()
    shelf.write(JOURNAL_FILE, damage)
    assert Journal(shelf).find(Order("job-0", 1, 1, {})) is None


def test_the_book_stays_small() -> None:
    shelf = MemoryShelf()
    journal = Journal(shelf)
    for number in range(3 * KEPT_ORDERS):
        journal.begin(Order(f"job-{number}", 1, 1, {}), boot=1)
    assert len(json.loads(shelf.read(JOURNAL_FILE) or b"")["entries"]) == KEPT_ORDERS
    assert Journal(shelf).find(Order(f"job-{3 * KEPT_ORDERS - 1}", 1, 1, {})) is not None
