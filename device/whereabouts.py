"""Where a device belongs: where its own name leads now, and whether that is still where it is connected."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from device.resolution import ResolutionError, Route
from device.surroundings import Emit, Surroundings
from protocol.bundle import Bundle
from protocol.traffic import route_watch_delay


class Whereabouts:
    """One device's."""

    __slots__ = ("_bundle", "_emit", "_every", "_summons", "_world", "server_name")

    def __init__(self, bundle: Bundle, surroundings: Surroundings, *, every: timedelta, emit: Emit) -> None:
        """`every`: between two looks while it is connected; the jitter comes on top."""
        self._bundle, self._world, self._every, self._emit = bundle, surroundings, every, emit
        self._summons = asyncio.Event()
        self.server_name = ""
        """Where the name led last."""

    @property
    def is_summoned(self) -> bool:
        """Whether it was told to look for itself, and did not yet."""
        return self._summons.is_set()

    def summon(self) -> None:
        """Look, now, and go there."""
        self._emit({"event": "summoned", "server_name": self.server_name})
        self._summons.set()

    async def find(self) -> Route:
        """Where to go; `ResolutionError`. From then on `server_name` is there."""
        # Before the connection stands: what the broker kept for this device comes down with it.
        self._summons.clear()
        route = await self._look()
        self.server_name = route.server_name
        self._emit({"event": "resolved", "chain": route.chain, "server_name": route.server_name})
        return route

    async def watch(self) -> None:
        """Return when this device belongs elsewhere, or is told to look for itself."""
        while not self._summons.is_set():
            delay = route_watch_delay(self._world.random, every=self._every)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay.total_seconds()):
                    await self._summons.wait()
            if not self._summons.is_set() and await self._leads_elsewhere():
                return

    async def _leads_elsewhere(self) -> bool:
        """Whether the own name leads to another server now. A name that cannot be looked up is no reason to leave."""
        try:
            route = await self._look()
        except ResolutionError as error:
            self._emit({"event": "route_unknown", "reason": str(error), "server_name": self.server_name})
            return False
        if route.server_name == self.server_name:
            return False
        self._emit({"event": "moved", "from": self.server_name, "to": route.server_name})
        return True

    async def _look(self) -> Route:
        return await self._world.resolve(self._bundle.device_id, self._bundle.domain)
