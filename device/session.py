"""One connection, from the first subscription to the last word: deliver, accompany, and leave when it is time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from device.companion import Companion
from device.link import Link, NotAcknowledgedError
from device.sender import Sender
from device.surroundings import Emit
from device.whereabouts import Whereabouts

LEAVE_SECONDS = 10.0
"""How long a device that leaves waits for the answer to the batch on its way; without it, it is sent again there."""
END_SECONDS = 1.0
"""How long an unacknowledged batch waits to learn why the connection ended; the library tells both at about once."""


@dataclass(frozen=True, slots=True)
class Parting:
    """Why a session is over."""

    reason: str = ""
    """What failed; nothing when this side chose to go."""
    was_dismissed: bool = False


class Session:
    """One device's, over one link."""

    __slots__ = ("_commands", "_companions", "_emit", "_is_subscribed", "_link", "_on_admitted", "_sender")

    def __init__(
        self,
        link: Link,
        *,
        sender: Sender,
        companions: Sequence[Companion],
        commands: str,
        is_subscribed: bool,
        on_admitted: Callable[[], None],
        emit: Emit,
    ) -> None:
        """`commands`: the topics to listen to beside those of the companions.

        `is_subscribed`: whether the broker still knows what this very process subscribed to. `on_admitted`: called once
        the broker has shown that it serves this device.
        """
        self._link, self._sender, self._companions, self._emit = link, sender, companions, emit
        self._commands, self._is_subscribed, self._on_admitted = commands, is_subscribed, on_admitted

    async def run(self, whereabouts: Whereabouts) -> Parting:
        """Deliver until all is done, the connection ends, or there is somewhere else to be."""
        delivering: asyncio.Future[Any] = asyncio.ensure_future(self._deliver())
        watching: asyncio.Future[Any] = asyncio.ensure_future(whereabouts.watch())
        beside = [asyncio.ensure_future(self._accompany(each)) for each in self._companions]
        ended: asyncio.Future[Any] = self._link.ended
        try:
            await asyncio.wait({delivering, watching, ended}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and not ended.done():
                self._sender.leave()
                await asyncio.wait({delivering, ended}, timeout=LEAVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return await self._parting(delivering)
        finally:
            for task in (delivering, watching, *beside):
                task.cancel()
            await asyncio.gather(delivering, watching, *beside, return_exceptions=True)
            await self._link.close()

    async def _parting(self, delivering: "asyncio.Future[None]") -> Parting:
        ended = self._link.ended
        failure = delivering.exception() if delivering.done() else None
        if isinstance(failure, NotAcknowledgedError):
            await asyncio.wait({ended}, timeout=END_SECONDS)
        elif failure:
            raise failure
        if ended.done():
            return Parting(ended.result().reason, ended.result().was_dismissed)
        return Parting(str(failure) if failure else "")

    async def _deliver(self) -> None:
        """Listen for commands, and send."""
        if not self._is_subscribed:
            await self._link.subscribe(self._commands)
        self._on_admitted()
        await self._sender.deliver(self._link)

    async def _accompany(self, companion: Companion) -> None:
        """A companion that fails, or that this broker does not serve, is no reason not to deliver."""
        try:
            if companion.topic_filters and not self._is_subscribed:
                await self._link.subscribe(*companion.topic_filters)
            await companion.accompany(self._link)
        except NotAcknowledgedError as error:
            ended: asyncio.Future[Any] = self._link.ended
            await asyncio.wait({ended}, timeout=END_SECONDS)
            if not ended.done():
                self._emit({"event": "not_served", "what": type(companion).__name__.lower(), "reason": str(error)})
        except Exception as error:  # noqa: BLE001 - a fault in one concern must not silence the measurements
            self._emit({"event": "companion_failed", "what": type(companion).__name__.lower(), "reason": repr(error)})
