"""One device of a simulated fleet: the real agent, in a world of its own time, chance, names and network."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from device.agent import Agent
from device.buffer.buffer import Buffer
from device.buffer.capacity import Capacity
from device.buffer.epoch import next_epoch
from device.configuration import Configuration
from device.demo_source import sample
from device.link import Credentials, Dial
from device.resolution import HostPort
from device.row_store import MemoryRows, RowStore
from device.settings import Settings
from device.shelf import MemoryShelf
from device.simulator.tally import Tally
from device.surroundings import Resolve, Surroundings, trust_server
from protocol.bundle import CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE, read_bundle
from protocol.device_id import DeviceId
from protocol.measurement import ClockQuality

BUFFER_FOLDER = "buffer"


@dataclass(slots=True)
class DeviceClock:
    """A clock that goes with the event loop, and may be wrong."""

    began_at: datetime
    began: float
    """What `loop` said then."""
    loop: asyncio.AbstractEventLoop
    offset: timedelta = timedelta()
    is_lost: bool = False
    """It was never set, and the device knows."""

    def now(self) -> datetime:
        """What it shows."""
        return self.began_at + timedelta(seconds=self.loop.time() - self.began) + self.offset

    def quality(self) -> ClockQuality:
        """What the device says of it."""
        return ClockQuality.UNKNOWN if self.is_lost else ClockQuality.SYNCHRONIZED


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What all members share."""

    random: Random
    dial: Dial
    resolve: Resolve
    entrance: Callable[[int], HostPort | None]
    """Where device number so-and-so enters the network."""
    began_at: datetime
    """When all began, whenever a device joins: they have one time."""
    began: float
    """The event loop's time then."""
    configuration: Configuration
    watch_route_every: timedelta
    buffer_bytes: int
    on_disk: bool
    """Rows in the durable buffer of a real device, beside its bundle; else in memory."""


@dataclass(eq=False, slots=True)
class Member:
    """A device at work."""

    number: int
    folder: Path
    agent: Agent
    tally: Tally
    clock: DeviceClock
    task: "asyncio.Task[dict[str, Any]] | None" = None

    @property
    def device(self) -> DeviceId:
        """Its id."""
        return self.agent.bundle.device_id

    @property
    def measured(self) -> int:
        """Rows that it made."""
        return self.agent.sampler.taken

    @property
    def waiting(self) -> int:
        """Rows that it has not delivered."""
        return self.agent.sender.waiting

    def disk_bytes(self) -> int:
        """What its buffer takes of the disk now."""
        folder = self.folder / BUFFER_FOLDER
        return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0


def make_member(number: int, folder: Path, world: World) -> Member:
    """The device whose bundle is in `folder`; `OSError` or `pydantic.ValidationError` when there is none."""
    loop = asyncio.get_running_loop()
    tally, clock = Tally(), DeviceClock(world.began_at, world.began, loop)
    settings = Settings(
        credentials=Credentials(folder / CHAIN_FILE, folder / KEY_FILE, folder / TRUST_ANCHORS_FILE),
        proxy=world.entrance(number),
        watch_route_every=world.watch_route_every,
        tells_rows=False,
    )
    surroundings = Surroundings(
        clock=clock.now,
        clock_quality=clock.quality,
        monotonic=loop.time,
        random=world.random.random,
        sleep=asyncio.sleep,
        resolve=world.resolve,
        check=trust_server,
        dial=world.dial,
    )
    agent = Agent(
        bundle=read_bundle(folder),
        settings=settings,
        surroundings=surroundings,
        store=_store(folder, world, tally, clock.now()),
        shelf=MemoryShelf(),
        source=sample,
        emit=tally.note,
        configuration=world.configuration,
    )
    return Member(number, folder, agent, tally, clock)


def _store(folder: Path, world: World, tally: Tally, now: datetime) -> RowStore:
    bits = world.random.getrandbits
    if not world.on_disk:
        return MemoryRows(next_epoch(0, now, bits), bound_bytes=world.buffer_bytes, emit=tally.note)
    rows = folder / BUFFER_FOLDER
    rows.mkdir(exist_ok=True)
    return Buffer(
        rows,
        Capacity.of_bytes(world.buffer_bytes),
        now=now,
        monotonic=asyncio.get_running_loop().time,
        random_bits=partial(bits),
        emit=tally.note,
        times_to_live=world.configuration.time_to_live_seconds.by_priority,
    )
