"""A fleet of real agents in one process that stands at a gate, and goes through it when it is opened."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks.broker_ground import Ground
from device.configuration import Configuration
from device.link import Call, Dial, Link, OnMessage
from device.simulator.lean_dial import LeanDial
from device.simulator.member import Member, World, make_member

AT_ONCE = 50
"""As many handshakes are under way at a time: half of what mosquitto lets wait to be accepted (its backlog is 100)."""
PATIENCE_SECONDS = 300.0
HOUR = timedelta(hours=1)


class Gate:
    """A `Dial` that lets nobody through until it is opened."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._turns, self._open = asyncio.Semaphore(AT_ONCE), asyncio.Event()
        self._reached: Callable[[], bool] = lambda: False
        self._due = asyncio.Event()
        self.waiting = 0
        """Who stands before it."""
        self.connected = 0
        """Who was let in by the broker since it was opened."""

    async def __call__(self, call: Call, on_message: OnMessage, /) -> Link:
        """Wait until it is open, and connect."""
        self.waiting += 1
        self._look()
        await self._open.wait()
        self.waiting -= 1
        async with self._turns:
            link = await self._dial(call, on_message)
        self.connected += 1
        self._look()
        return link

    def shut(self) -> None:
        """For whoever comes from now on."""
        self._open.clear()

    def open(self) -> None:
        """For all who wait, and who come."""
        self.connected = 0
        self._open.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Until that is so."""
        self._reached = reached
        self._due.clear()
        self._look()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._due.wait()

    def _look(self) -> None:
        if self._reached():
            self._due.set()


class Crowd:
    """The devices of a ground; those that `come` are at the gate."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.gate = ground, Gate(LeanDial(direct=ground.direct))
        self.members: list[Member] = []
        self._world = World(
            random=random.Random(1),  # noqa: S311 - a repeatable stream, no secret
            dial=self.gate,
            resolve=ground.resolve,
            entrance=lambda _number: None,
            began_at=datetime.now(UTC),
            began=asyncio.get_running_loop().time(),
            configuration=Configuration(sample_seconds=60),
            watch_route_every=HOUR,
            buffer_bytes=512 * 1024,
            on_disk=False,
        )

    async def come(self, count: int) -> None:
        """So many more, each an agent that runs. Whoever lost its connection is back at the gate at once."""
        for _ in range(count):
            number = len(self.members)
            member = make_member(number, self.ground.folders[number], self._world)
            member.agent.surroundings = replace(member.agent.surroundings, sleep=_no_wait)
            member.task = asyncio.create_task(member.agent.run())
            self.members.append(member)
        await self.gate.until(lambda: self.gate.waiting == count)

    async def enter(self) -> None:
        """Everyone who waits, until the last is connected."""
        count = self.gate.waiting
        self.gate.open()
        await self.gate.until(lambda: self.gate.connected == count)
        self.gate.shut()

    async def leave(self) -> None:
        """All of them."""
        for member in self.members:
            if member.task:
                member.task.cancel()
        await asyncio.gather(*(member.task for member in self.members if member.task), return_exceptions=True)


@asynccontextmanager
async def crowd_of(ground: Ground) -> AsyncIterator[Crowd]:
    """Nobody yet, and nobody afterwards."""
    crowd = Crowd(ground)
    try:
        yield crowd
    finally:
        await crowd.leave()


async def _no_wait(_seconds: float) -> None:
    """A storm is what the devices' windows are there to prevent."""
