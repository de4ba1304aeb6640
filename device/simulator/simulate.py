"""A run from beginning to end: its folders, its network, its fleet; on an event loop of its own pace."""

import asyncio
import gc
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from device.configuration import Configuration, WindowWish
from device.simulator.course import OnLook
from device.simulator.fleet import Fleet
from device.simulator.ground import Ground
from device.simulator.impaired_proxy import ImpairedProxy
from device.simulator.lean_dial import LeanDial
from device.simulator.member import World
from device.simulator.memory import resident_kib
from device.simulator.paced_loop import PacedLoop
from device.simulator.report import Report, make_report
from device.simulator.scenario import Scenario
from protocol.batch_window import STALEST_SECONDS
from protocol.traffic import ROUTE_WATCH

BUFFER_BYTES = 512 * 1024
"""Of one simulated device: over an hour of rows at one in ten seconds, and the smallest fits in."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be simulated. Times are the devices'."""

    scenario: Scenario
    connects_per_second: int
    pace: float = 1.0
    sample_every: timedelta = timedelta(seconds=10)
    batch_every: timedelta = timedelta(seconds=75)
    """The age of the oldest row at which a batch leaves; two fifths of it are random."""
    on_disk: bool = False
    buffer_bytes: int = BUFFER_BYTES
    seed: int = 1


def simulate(
    order: Order, make_ground: Callable[[], Ground], folders: Sequence[Path], on_look: OnLook
) -> tuple[Report, Fleet]:
    """Run it; `FleetLostError`, `NoBrokerError` when it cannot be run."""
    with asyncio.Runner(loop_factory=lambda: PacedLoop(order.pace)) as runner:
        return runner.run(_simulate(order, make_ground(), folders, on_look))


async def _simulate(order: Order, ground: Ground, folders: Sequence[Path], on_look: OnLook) -> tuple[Report, Fleet]:
    chance = random.Random(order.seed)  # noqa: S311 - a repeatable stream, no secret
    proxy = ImpairedProxy(ground.reach, chance.random)
    world = World(
        random=chance,
        dial=LeanDial(order.pace),
        resolve=ground.resolve,
        entrance=proxy.entrance,
        began_at=datetime.now(UTC),
        began=asyncio.get_running_loop().time(),
        configuration=_configuration(order),
        watch_route_every=ROUTE_WATCH,
        buffer_bytes=order.buffer_bytes,
        on_disk=order.on_disk,
    )
    fleet = Fleet(folders, order.scenario, ground, proxy, world, order.connects_per_second, on_look)
    gc.collect()
    before = resident_kib()
    try:
        await proxy.open()
        await ground.open()
        await fleet.run()
        grown_kib = fleet.course.peak_resident_kib - before
        return make_report(fleet, pace=order.pace, grown_kib=grown_kib), fleet
    finally:
        await proxy.close()
        await ground.close()
        for member in fleet.members:
            member.agent.store.close()


def _configuration(order: Order) -> Configuration:
    age = order.batch_every.total_seconds()
    return Configuration(
        sample_seconds=order.sample_every.total_seconds(),
        window=WindowWish(freshest_seconds=age, stalest_seconds=max(age, STALEST_SECONDS)),
    )
