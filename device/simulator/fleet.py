"""A whole fleet through a scenario: start it, let things happen to it, let it deliver, and look at what came of it."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from device.agent import CannotConnectError
from device.simulator.course import Course, Look, OnLook, Passage
from device.simulator.ground import Ground
from device.simulator.impaired_proxy import LANES, ImpairedProxy
from device.simulator.member import Member, World, make_member
from device.simulator.memory import resident_kib
from device.simulator.scenario import FIRST, Act, Cut, Impose, Kill, Lead, Renew, Scenario, SetClocks, Start
from protocol.bundle import read_bundle

PATIENCE = timedelta(hours=1)
"""How long, beyond its window, the fleet may take to be connected, or to be whole after a story. At a high pace a
registrar takes minutes of the devices' time to admit them, and who used up its quick tries backs off by up to ten."""
LOOK_SECONDS = 1.0
"""Between two points of the curves, and two looks at whether the fleet is where it should be."""
DELIVERING_AT_ONCE = 100
"""How many devices end at a time: each delivers what it has, and the broker must not be what makes them late."""


class FleetLostError(Exception):
    """The fleet did not come as far as the scenario needs; says how far, and what the devices say."""


@dataclass
class Fleet:
    """`folders`: one a device, with a bundle in each."""

    folders: Sequence[Path]
    scenario: Scenario
    ground: Ground
    proxy: ImpairedProxy
    world: World
    connects_per_second: int
    on_look: OnLook
    members: list[Member] = field(default_factory=list)
    course: Course = field(default_factory=Course)
    window: timedelta = field(init=False)
    """How wide the fleet spreads its return, as its bundles say."""
    _doing: str = "starting"
    _began: float = 0.0
    _was_away: bool = False
    """Whether the last look, after everything was restored, still missed a device."""

    def __post_init__(self) -> None:
        """`OSError` or `pydantic.ValidationError` where a folder holds no bundle."""
        self.window = max(read_bundle(folder).reconnect_window for folder in self.folders)

    async def run(self) -> Course:
        """All of it; `FleetLostError` when the fleet is not connected at the beginning."""
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        looking = asyncio.create_task(self._look())
        try:
            await self._start()
            self._begin(loop.time())
            await self._play()
            await self._finish()
            # What the ground needs to count what arrived is not the fleet's.
            looking.cancel()
            await self.ground.settle(sum(member.tally.rows for member in self.members))
        finally:
            looking.cancel()
            await self._abandon()
        began = math.floor(self._began)
        self.course.attempts = {at - began: count for at, count in sorted(self.proxy.attempts.items())}
        self.course.took_seconds = time.monotonic() - started
        return self.course

    async def _start(self) -> None:
        """As a fleet that was switched on over one window: the storm that a scenario means is its own."""
        gap = self.window.total_seconds() / len(self.folders)
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number, folder in enumerate(self.folders):
            member = make_member(number, folder, self.world)
            member.task = asyncio.create_task(member.agent.run())
            self.members.append(member)
            due += gap
            await asyncio.sleep(max(0.0, due - loop.time()))
        await self._all_connected(self.ground.server_name(FIRST))

    def _begin(self, now: float) -> None:
        shift = now - self._began
        self.course.looks = [
            Look(look.at - shift, look.connected, look.attempts, look.acknowledged, look.waiting)
            for look in self.course.looks
        ]
        self._began = now

    async def _play(self) -> None:
        for story in self.scenario.stories:
            passage = Passage(story, self._now)
            connections = [member.tally.connections for member in self.members]
            harm = self.proxy.harm.copy()
            self._was_away = False
            self.course.passages.append(passage)
            await self._tell(passage)
            passage.ended = self._now
            passage.reconnects = tuple(
                member.tally.connections - before for member, before in zip(self.members, connections, strict=True)
            )
            passage.harm = self.proxy.harm - harm

    async def _tell(self, passage: Passage) -> None:
        """One story, from its beginning until the fleet is whole again."""
        story, origin = passage.story, passage.began
        for step in story.steps:
            self._doing = f"{story.name}: next at {step.at:g} s"
            await asyncio.sleep(origin + step.at - self._now)
            acted = self._now
            await self._act(step.act)
            # An act that takes its time puts the rest of the story off, and does not shorten it.
            origin += self._now - acted
            self.course.acts.append(acted)
            if story.restored_at == step.at:
                passage.restored_at = self._now
        self._doing = f"{story.name}: going on"
        await asyncio.sleep(origin + story.lasts - self._now)

        def is_whole() -> bool:
            self._look_for_return(passage)
            return self._is_whole(story)

        await self._until(is_whole, self.window + PATIENCE)

    @property
    def _now(self) -> float:
        """As the course counts."""
        return asyncio.get_running_loop().time() - self._began

    async def _act(self, act: Act) -> None:
        ground, proxy = self.ground, self.proxy
        match act:
            case Impose():
                proxy.impose(act.conditions, target=self._target(act.cluster), share=act.share)
            case Cut():
                proxy.cut(target=self._target(act.cluster), share=act.share)
            case Kill():
                await ground.kill(act.cluster)
                proxy.cut(target=ground.server_name(act.cluster))
            case Start():
                await ground.start(act.cluster)
            case Lead():
                await ground.lead(act.cluster)
            case SetClocks():
                for member in self._share(act.share):
                    member.clock.offset += act.by
                    member.clock.is_lost = member.clock.is_lost or act.is_lost
            case Renew():
                await asyncio.gather(*(ground.renew(m.device, m.folder) for m in self._share(act.share)))

    async def _finish(self) -> None:
        """Let every device deliver what it has, once it is connected."""
        self._doing = "delivering"
        turns = asyncio.Semaphore(DELIVERING_AT_ONCE)

        async def end(member: Member) -> None:
            async with turns:
                await self._until(lambda: member.tally.is_connected, self.window + PATIENCE)
                await self._deliver_all(member)

        await asyncio.gather(*(end(member) for member in self.members))
        self.course.peak_disk_bytes = max(
            self.course.peak_disk_bytes, *(member.disk_bytes() for member in self.members)
        )

    async def _deliver_all(self, member: Member) -> None:
        """Measure no more, and stop as soon as nothing waits; a connection that breaks meanwhile is made again."""
        loop = asyncio.get_running_loop()

        def stop_if_empty() -> None:
            if not member.waiting:
                member.agent.stop()

        member.agent.sampler.finish()
        member.tally.on_acknowledged = lambda: loop.call_soon(stop_if_empty)
        stop_if_empty()
        if member.task:
            await asyncio.wait({member.task}, timeout=(self.window + PATIENCE).total_seconds())
            member.agent.stop()
            try:
                await member.task
            except CannotConnectError as error:
                member.tally.last_reason = str(error)

    def _is_whole(self, story: Scenario) -> bool:
        """Whether every device is where the story ends."""
        return self._are_at(self.ground.server_name(story.expects.ends_at))

    def _are_at(self, server_name: str) -> bool:
        return all(member.tally.is_connected and member.tally.server_name == server_name for member in self.members)

    async def _all_connected(self, server_name: str) -> None:
        if not await self._until(lambda: self._are_at(server_name), self.window + PATIENCE):
            reasons = {member.tally.last_reason for member in self.members if not member.tally.is_connected}
            missing = sum(not member.tally.is_connected for member in self.members)
            raise FleetLostError(
                f"{missing:,} of {len(self.members):,} devices do not get through to {server_name}: "
                f"{'; '.join(sorted(filter(None, reasons))[:3]) or 'they say nothing'}"
            )

    async def _until(self, reached: Callable[[], bool], within: timedelta) -> bool:
        """Whether it came true in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within.total_seconds()
        while not reached():
            self._expect_all_alive()
            if loop.time() > until:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    def _expect_all_alive(self) -> None:
        """`FleetLostError` for an agent that broke down: it would be waited for in vain."""
        for member in self.members:
            task = member.task
            if task and task.done() and not task.cancelled() and (error := task.exception()):
                raise FleetLostError(f"{member.device}: its agent broke down: {error!r}") from error

    async def _look(self) -> None:
        """Draw the curves, for as long as it is let."""
        while True:
            look = Look(
                self._now,
                sum(member.tally.is_connected for member in self.members),
                self.proxy.attempts.total(),
                sum(member.tally.rows for member in self.members),
                sum(member.waiting for member in self.members),
            )
            self.course.looks.append(look)
            self.on_look(look, self._doing)
            self.course.peak_resident_kib = max(self.course.peak_resident_kib, resident_kib())
            if self.course.passages:
                self._look_for_return(self.course.passages[-1])
            if self.world.on_disk and self.members:
                # One member a look is enough: a buffer that outgrew its bound stays so.
                member = self.members[len(self.course.looks) % len(self.members)]
                self.course.peak_disk_bytes = max(self.course.peak_disk_bytes, member.disk_bytes())
            await asyncio.sleep(LOOK_SECONDS)

    def _look_for_return(self, passage: Passage) -> None:
        if passage.restored_at is None or passage.back_after is not None:
            return
        is_whole = self._is_whole(passage.story)
        if is_whole and self._was_away:
            passage.back_after = self._now - passage.restored_at
        self._was_away = not is_whole

    async def _abandon(self) -> None:
        tasks = [member.task for member in self.members if member.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _share(self, share: float) -> list[Member]:
        """The same devices whose network a share of this size means."""
        return [member for member in self.members if is_touched(member.number, share)]

    def _target(self, cluster: str) -> str:
        return self.ground.server_name(cluster) if cluster else ""


def is_touched(number: int, share: float) -> bool:
    """Whether a share of the fleet has this device in it."""
    return number % LANES < max(1, round(share * LANES))
