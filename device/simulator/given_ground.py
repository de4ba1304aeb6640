"""The clusters of a deployment: reached through its own proxy or directly, named by its own DNS.

Their brokers are not the simulator's to kill: what a device sees of a dead one, refused and reset connections, is made
on the way to it. What they stored is not known here.
"""

from pathlib import Path

from device.resolution import HostPort, Route, resolve_route
from device.simulator.crossing import Upstream
from device.simulator.scenario import FIRST, Act, Lead, Renew
from protocol.bundle import MQTT_TLS_PORT
from protocol.device_id import DeviceId
from protocol.hostnames import cluster_hostname


class NotPossibleError(Exception):
    """The scenario needs what nobody can do from here; says what, and the way out."""


class GivenGround:
    """`beyond`: the CONNECT proxy behind ours; nothing means that server names are dialled."""

    cannot: frozenset[type[Act]] = frozenset({Lead, Renew})
    """Kinds of act for which there are other tools."""

    def __init__(
        self, domain: str, *, resolver: HostPort | None, beyond: HostPort | None, cluster: str = FIRST
    ) -> None:
        self.domain, self.resolver, self.beyond, self.first = domain, resolver, beyond, cluster
        self._away: set[str] = set()

    async def open(self) -> None:
        """It is there."""

    async def close(self) -> None:
        """It stays."""

    def reach(self, target: str) -> Upstream | None:
        """What stands for a server name; nothing for a cluster that is away."""
        if target in self._away:
            return None
        return Upstream(self.beyond, is_proxy=True) if self.beyond else Upstream(HostPort(target, MQTT_TLS_PORT))

    async def resolve(self, device: DeviceId, domain: str) -> Route:
        """Where a device's name leads now, asked of the deployment's DNS."""
        return await resolve_route(device, domain, resolver=self.resolver)

    async def kill(self, cluster: str) -> None:
        """Nobody reaches it."""
        self._away.add(self.server_name(cluster))

    async def start(self, cluster: str) -> None:
        """It is reached again."""
        self._away.discard(self.server_name(cluster))

    async def lead(self, cluster: str) -> None:
        """Not from here."""
        raise NotPossibleError(f"the names of {self.domain} are led to {cluster} by: python -m fleet route")

    async def renew(self, device: DeviceId, _folder: Path) -> None:
        """Not from here."""
        raise NotPossibleError(f"a new certificate for {device} is issued by: python -m provisioning")

    def server_name(self, cluster: str) -> str:
        """Of a cluster."""
        return cluster_hostname(self.first if cluster == FIRST else cluster, self.domain)

    async def settle(self, _acknowledged: int) -> None:
        """There is nothing to wait for."""

    def arrived_rows(self, _device: str, _epoch: int) -> int | None:
        """The lake knows."""
        return None

    def faults(self) -> list[str]:
        """The lake knows."""
        return []
