"""The network between a fleet and its clusters: an HTTP CONNECT proxy on loopback that does what networks do.

Devices are spread over `LANES` ports, so that a share of them can have a network of its own. Conditions hold for a lane
and a target name, change at any time, and then hold for open connections too. All times are the event loop's.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from device.resolution import HostPort
from device.simulator.conditions import GOOD, Conditions, Harm
from device.simulator.crossing import Crossing, Upstream
from protocol.traffic import Random

LOOPBACK = "127.0.0.1"
LANES = 10
"""A tenth of the fleet is the smallest share that can have conditions of its own."""
BACKLOG = 1024
"""Connections that wait to be accepted: a fleet comes back all at once, and the kernel must not be what refuses it."""

Reach = Callable[[str], Upstream | None]
"""What stands for a target's name; nothing where there is none."""


class ImpairedProxy:
    """The network. `open` it in the event loop whose time it keeps."""

    def __init__(self, reach: Reach, random: Random) -> None:
        self._reach, self.random = reach, random
        self._imposed: dict[tuple[int, str], Conditions] = {}
        self._servers: list[asyncio.Server] = []
        self._crossings: set[Crossing] = set()
        self.attempts: Counter[int] = Counter()
        """Connections that devices tried to open, by second of the loop's time."""
        self.harm: Counter[Harm] = Counter()
        """How often the network did what a good one does not."""

    async def open(self) -> None:
        """Listen on loopback."""
        loop = asyncio.get_running_loop()
        for lane in range(LANES):
            made = _maker(self, lane)
            self._servers.append(await loop.create_server(made, LOOPBACK, 0, backlog=BACKLOG))

    async def close(self) -> None:
        """Listen no more, and reset what is open."""
        for server in self._servers:
            server.close()
        for crossing in list(self._crossings):
            crossing.reset()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    def entrance(self, number: int) -> HostPort:
        """Where device `number` enters."""
        port: int = self._servers[number % LANES].sockets[0].getsockname()[1]
        return HostPort(LOOPBACK, port)

    def impose(self, conditions: Conditions, *, target: str = "", share: float = 1.0) -> None:
        """From now on, on the way to `target`, or to all that have no conditions of their own, for a share of devices.

        The share takes lanes from the first on, whole ones, and at least one.
        """
        for lane in range(max(1, round(share * LANES))):
            self._imposed[lane, target] = conditions

    def clear(self) -> None:
        """A perfect network again."""
        self._imposed.clear()

    def cut(self, *, target: str = "", share: float = 1.0) -> int:
        """Reset the open connections to `target`, or all, of a share of devices, as a host that died; how many."""
        lanes = max(1, round(share * LANES))
        victims = [c for c in self._crossings if c.lane < lanes and target in ("", c.target)]
        for crossing in victims:
            crossing.reset()
        return len(victims)

    @property
    def carried(self) -> int:
        """Connections that are open now, those included that a NAT forgot."""
        return len(self._crossings)

    def conditions(self, lane: int, target: str) -> Conditions:
        """What holds now."""
        return self._imposed.get((lane, target)) or self._imposed.get((lane, ""), GOOD)

    def upstream(self, target: str) -> Upstream | None:
        """What stands for the name now."""
        return self._reach(target)

    def enter(self, crossing: Crossing) -> None:
        """A device has connected."""
        self._crossings.add(crossing)

    def leave(self, crossing: Crossing) -> None:
        """Both ends are gone."""
        self._crossings.discard(crossing)


def _maker(proxy: ImpairedProxy, lane: int) -> Callable[[], asyncio.Protocol]:
    return lambda: Crossing(proxy, lane).near
