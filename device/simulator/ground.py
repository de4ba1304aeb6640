"""What a scenario stands on: the clusters, the names that lead to them, and whoever records what arrives."""

from pathlib import Path
from typing import Protocol

from device.resolution import Route
from device.simulator.crossing import Upstream
from protocol.device_id import DeviceId


class Ground(Protocol):
    """Clusters for a fleet: the simulator's own, or those of a deployment."""

    domain: str

    async def open(self) -> None:
        """Be ready for the fleet."""

    async def close(self) -> None:
        """Leave nothing behind."""

    def reach(self, target: str) -> Upstream | None:
        """What stands for a server name."""

    async def resolve(self, device: DeviceId, domain: str) -> Route:
        """Where a device's name leads now; `ResolutionError`."""

    async def kill(self, cluster: str) -> None:
        """A broker dies."""

    async def start(self, cluster: str) -> None:
        """It is there again."""

    async def lead(self, cluster: str) -> None:
        """Every name leads there from now on."""

    async def renew(self, device: DeviceId, folder: Path) -> None:
        """A new key and certificate for a device, which the clusters let in from now on."""

    def server_name(self, cluster: str) -> str:
        """Of a cluster."""

    async def settle(self, acknowledged: int) -> None:
        """Return when so many rows are recorded, or no more of them come."""

    def arrived_rows(self, device: str, epoch: int) -> int | None:
        """How many different rows of a device and epoch are recorded; nothing where that cannot be known."""

    def faults(self) -> list[str]:
        """What was recorded and should not have been; a line each."""
