"""Two clusters of the simulator's own: mosquittos on loopback, throwaway identities, and a recorder behind each."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from device.demo_source import sample
from device.resolution import HostPort, Route
from device.simulator.arrivals import Arrivals
from device.simulator.crossing import Upstream
from device.simulator.identities import Authority, renew
from device.simulator.mosquitto import LOOPBACK, Mosquitto
from device.simulator.recorder import Recorder
from device.simulator.scenario import FIRST, SECOND
from protocol.device_id import DeviceId
from protocol.hostnames import cluster_hostname, device_hostname

DOMAIN = "simulated.example.com"
SETTLE_SECONDS = 120.0
"""How long the recorder, one hop behind the broker, may take for what the fleet knows to be acknowledged."""
QUIET_SECONDS = 1.0
"""And this long longer for what it does not know of."""


class OwnGround:
    """`open` it before the fleet."""

    domain = DOMAIN

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.authority = Authority.make(clock())
        self.arrivals = Arrivals(sample)
        self.brokers = {
            cluster: Mosquitto(cluster_hostname(cluster, DOMAIN), folder / cluster, self.authority, clock())
            for cluster in (FIRST, SECOND)
        }
        self._leads_to = FIRST
        self._recorders: dict[str, Recorder] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Start the brokers, and listen."""
        for cluster, broker in self.brokers.items():
            await asyncio.to_thread(broker.start)
            recorder = Recorder(HostPort(LOOPBACK, broker.watch_port), self.arrivals)
            self._recorders[cluster] = recorder
            self._tasks.append(asyncio.create_task(recorder.run()))
            await recorder.listens.wait()

    async def close(self) -> None:
        """End everything that was started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for broker in self.brokers.values():
            broker.kill()

    def reach(self, target: str) -> Upstream | None:
        """What stands for a server name."""
        for broker in self.brokers.values():
            if broker.server_name == target:
                return Upstream(HostPort(LOOPBACK, broker.port))
        return None

    async def resolve(self, device: DeviceId, domain: str) -> Route:
        """Where a device's name leads now."""
        name = self.server_name(self._leads_to)
        return Route((device_hostname(device, domain), name), name)

    async def kill(self, cluster: str) -> None:
        """A broker dies."""
        await asyncio.to_thread(self.brokers[cluster].kill)

    async def start(self, cluster: str) -> None:
        """It is there again."""
        await asyncio.to_thread(self.brokers[cluster].start)

    async def lead(self, cluster: str) -> None:
        """Every name leads there from now on."""
        self._leads_to = cluster

    async def renew(self, device: DeviceId, folder: Path) -> None:
        """A new key and certificate for a device; the broker knows its authority, and asks no more."""
        renew(folder, device, self.authority.issue, now=self.clock())

    def server_name(self, cluster: str) -> str:
        """Of a cluster."""
        return self.brokers[cluster].server_name

    async def settle(self, acknowledged: int) -> None:
        """Until so many rows are there, and a little longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while self.arrivals.total < acknowledged:  # noqa: ASYNC110 - a recorder tells nobody
                    await asyncio.sleep(QUIET_SECONDS)
        await asyncio.sleep(QUIET_SECONDS)

    def arrived_rows(self, device: str, epoch: int) -> int:
        """How many different rows of a device and epoch are recorded."""
        return self.arrivals.rows(device, epoch)

    def faults(self) -> list[str]:
        """What was recorded and should not have been."""
        found = {
            "rows came in another order than they were measured in": self.arrivals.overtaken_rows,
            "rows came again, and said something else": self.arrivals.conflicting_rows,
            "rows do not say what was measured": self.arrivals.wrong_rows,
            "batches could not be read": len(self.arrivals.refused),
        }
        return [f"{count:,} {what}" for what, count in found.items() if count]
