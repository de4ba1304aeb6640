"""The agent: sample on its own clock, resolve, connect, deliver; again, for as long as the device lives.

Two halves that know little of each other. The sampler writes rows into the buffer and never waits for a network; the
sender empties the buffer while there is a connection. Between them stands `RowStore`, and it alone decides what a power
cut costs. Every wait is `protocol.traffic`'s; what the world gives is `Surroundings`. What happens is told as events:
plain dictionaries with a name under `event`, for a person or a program to read.

A connected device looks its own name up now and then, and when it is told to move. When it leads to another server, the
device finishes the batch on its way, says DISCONNECT and goes there: nobody has to cut it off.

One event loop runs one agent or thousands.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from device.agent_state import remember_admission, start
from device.buffer.row import Priority
from device.companion import Companion
from device.configuration import Configuration
from device.link import Call, ConnectionFailedError, Link, Message, NotAcknowledgedError
from device.metrics import Health, readings_of
from device.preflight import PreflightError
from device.resolution import ResolutionError
from device.row_store import RowStore
from device.sampler import Sampler
from device.sender import Sender
from device.settings import Settings
from device.shelf import Shelf
from device.surroundings import Emit, Radio, Source, Surroundings, no_radio
from protocol.bundle import Bundle
from protocol.measurement import ClockQuality
from protocol.topics import command_topic
from protocol.traffic import STABLE_AFTER, dismissed_delay, retry_delay, route_watch_delay

FIRMWARE = "1.0.0"
"""This agent's own version, as it stands in every batch."""
MOVE_COMMAND = "move"
"""The command that says: look your name up now, and go where it leads."""
STOP_SECONDS = 10.0
"""How long a device that is stopped goes on delivering what waits; the rest stays in the store."""
LEAVE_SECONDS = 10.0
"""How long a device that leaves waits for the answer to the batch on its way; without it, it is sent again there."""
END_SECONDS = 1.0
"""How long an unacknowledged batch waits to learn why the connection ended; the library tells both at about once."""


class CannotConnectError(Exception):
    """Every attempt failed; the message is the last one's."""


@dataclass(frozen=True, slots=True)
class Parting:
    """Why a session is over."""

    reason: str = ""
    """What failed; nothing when this side chose to go."""
    was_dismissed: bool = False


class Agent:
    """One device at work."""

    __slots__ = (
        "_dismissed_at",
        "_started",
        "_stopping",
        "_subscribed_at",
        "_summons",
        "bundle",
        "companions",
        "connects",
        "emit",
        "failures",
        "radio",
        "sampler",
        "sender",
        "server_name",
        "settings",
        "shelf",
        "state",
        "store",
        "surroundings",
        "wants_restart",
    )

    def __init__(
        self,
        *,
        bundle: Bundle,
        settings: Settings,
        surroundings: Surroundings,
        store: RowStore,
        shelf: Shelf,
        source: Source,
        emit: Emit,
        configuration: Configuration | None = None,
        firmware: str = FIRMWARE,
        radio: Callable[[datetime], Radio] = no_radio,
    ) -> None:
        """`store` holds the rows, `shelf` the few small documents that outlive a restart; both are this device's own.

        `configuration`: what it works by until it is told otherwise; nothing means the defaults. `radio`: the mobile
        network at hand. What else it does while it is connected is added to `companions`.
        """
        self.bundle, self.settings, self.surroundings, self.emit = bundle, settings, surroundings, emit
        self.store, self.shelf = store, shelf
        self.state = start(shelf)
        self.companions: list[Companion] = []
        self.connects = 0
        self.wants_restart = False
        """Whether it ended to be started anew."""
        self._started = surroundings.monotonic()
        self._subscribed_at = ""
        self.radio = radio
        self.sampler = Sampler(
            source=source,
            store=store,
            surroundings=surroundings,
            configuration=configuration or Configuration(),
            boot_count=self.state.boot_count,
            firmware=firmware,
            metrics=lambda moment: readings_of(self._health(moment)),
            emit=emit,
            every=settings.sample_every,
            limit=settings.row_limit,
        )
        self.sender = Sender(
            bundle=bundle,
            store=store,
            sampler=self.sampler,
            surroundings=surroundings,
            emit=emit,
            fixed_rows=settings.rows,
            batches=None if settings.rows else settings.batches,
            tells_rows=settings.tells_rows,
        )
        self.failures = 0
        """In a row; a connection that lasted `STABLE_AFTER` ends the row."""
        self.server_name = ""
        """Where the device's name led last."""
        self._dismissed_at: float | None = None
        self._stopping, self._summons = asyncio.Event(), asyncio.Event()
        """Set by `stop`; set when the device is told to look where it belongs."""

    async def run(self) -> dict[str, Any]:
        """Work until the batches asked for are acknowledged, or `stop`; the summary.

        `CannotConnectError` when it gives up. In every case what was measured is in the store.
        """
        sampling = asyncio.ensure_future(self.sampler.run())
        sampling.add_done_callback(self._stop_without_sampler)
        try:
            while not self._is_done():
                try:
                    link = await self._connect()
                except (ResolutionError, PreflightError, ConnectionFailedError) as error:
                    await self._wait_for_retry(Parting(str(error)), was_connected=False)
                    continue
                parting = await self._session(link)
                if parting.reason and not self._is_done():
                    await self._wait_for_retry(parting, was_connected=True)
                elif self._summons.is_set():
                    # Those who are told at once must not arrive at once.
                    await self._pause(dismissed_delay(self.surroundings.random))
        finally:
            sampling.cancel()
            self.sampler.finish()
            with suppress(asyncio.CancelledError):
                await sampling
        return self._summary()

    def stop(self, *, within_seconds: float = STOP_SECONDS) -> None:
        """End in order: measure no more, deliver what waits if the connection at hand allows it so soon, and hang up.

        To be called in the event loop.
        """
        self._stopping.set()
        self.sampler.finish()
        self.sender.hurry()
        asyncio.get_running_loop().call_later(within_seconds, self.sender.leave)

    def _stop_without_sampler(self, sampling: "asyncio.Future[None]") -> None:
        """A device that measures nothing must not look well: what it has is delivered, then `run` raises."""
        if not sampling.cancelled() and sampling.exception():
            self.emit({"event": "sampler_lost", "reason": repr(sampling.exception())})
            self.stop()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def restart(self) -> None:
        """Stop, to be started anew by whoever runs this."""
        self.wants_restart = True
        self.stop()

    def summon(self) -> None:
        """Look up where this device belongs, now, and go there."""
        self.emit({"event": "summoned", "server_name": self.server_name})
        self._summons.set()

    def _is_done(self) -> bool:
        if self._stopping.is_set():
            return True
        if self.settings.row_limit is not None:
            return self.sampler.is_finished and not self.sender.waiting
        return self.settings.batches is not None and self.sender.delivered >= self.settings.batches

    async def _connect(self) -> Link:
        """Where the name leads now, and through the door there."""
        world = self.surroundings
        # Before the connection stands: what the broker kept for this device comes down with it.
        self._summons.clear()
        route = await world.resolve(self.bundle.device_id, self.bundle.domain)
        self.server_name = route.server_name
        self.emit({"event": "resolved", "chain": route.chain, "server_name": route.server_name})
        call = Call(
            server_name=route.server_name,
            port=self.bundle.port,
            credentials=self.settings.credentials,
            client_id=self.bundle.device,
            keep_alive=self.bundle.keep_alive(self.radio(world.clock()).operator),
            session_expiry=self.bundle.session_expiry,
            proxy=self.settings.proxy,
        )
        handshake = await world.check(call)
        if handshake:
            self.emit({"event": "trusted", "tls": handshake.tls_version, "cipher": handshake.cipher})
        link = await world.dial(call, self._hear)
        self.connects += 1
        told = {"server_name": route.server_name, "is_resumed": link.is_resumed}
        self.emit({"event": "connected"} | told | {"keep_alive_seconds": call.keep_alive.total_seconds()})
        return link

    async def _session(self, link: Link) -> Parting:
        """Deliver over one connection until all is done, it ends, or there is somewhere else to be."""
        since = self.surroundings.monotonic()
        # What this very process subscribed to there; an earlier firmware may have wanted less.
        still = link.is_resumed and self._subscribed_at == self.server_name
        delivering: asyncio.Future[Any] = asyncio.ensure_future(self._deliver(link, is_subscribed=still))
        watching: asyncio.Future[Any] = asyncio.ensure_future(self._watch_route())
        beside = [asyncio.ensure_future(self._accompany(each, link, is_subscribed=still)) for each in self.companions]
        ended: asyncio.Future[Any] = link.ended
        try:
            await asyncio.wait({delivering, watching, ended}, return_when=asyncio.FIRST_COMPLETED)
            if self.surroundings.monotonic() - since >= STABLE_AFTER.total_seconds():
                self.failures = 0
            if watching.done() and not ended.done():
                self.sender.leave()
                await asyncio.wait({delivering, ended}, timeout=LEAVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return await self._parting(link, delivering)
        finally:
            for task in (delivering, watching, *beside):
                task.cancel()
            await asyncio.gather(delivering, watching, *beside, return_exceptions=True)
            await link.close()

    async def _parting(self, link: Link, delivering: "asyncio.Future[None]") -> Parting:
        failure = delivering.exception() if delivering.done() else None
        if isinstance(failure, NotAcknowledgedError):
            await asyncio.wait({link.ended}, timeout=END_SECONDS)
        elif failure:
            raise failure
        if link.ended.done():
            return Parting(link.ended.result().reason, link.ended.result().was_dismissed)
        return Parting(str(failure) if failure else "")

    async def _deliver(self, link: Link, *, is_subscribed: bool) -> None:
        """Listen for commands, and send."""
        if not is_subscribed:
            await link.subscribe(self.bundle.topics.commands)
            self._subscribed_at = self.server_name
        self.state = remember_admission(self.shelf, self.state, self.server_name)
        await self.sender.deliver(link)

    async def _accompany(self, companion: Companion, link: Link, *, is_subscribed: bool) -> None:
        """A companion that fails, or that this broker does not serve, is no reason not to deliver."""
        try:
            if companion.topic_filters and not is_subscribed:
                await link.subscribe(*companion.topic_filters)
            await companion.accompany(link)
        except NotAcknowledgedError as error:
            ended: asyncio.Future[Any] = link.ended
            await asyncio.wait({ended}, timeout=END_SECONDS)
            if not ended.done():
                self.emit({"event": "not_served", "what": type(companion).__name__.lower(), "reason": str(error)})
        except Exception as error:  # noqa: BLE001 - a fault in one concern must not silence the measurements
            self.emit({"event": "companion_failed", "what": type(companion).__name__.lower(), "reason": repr(error)})

    async def _watch_route(self) -> None:
        """Return when this device belongs elsewhere, or is told to look for itself."""
        while not self._summons.is_set():
            delay = route_watch_delay(self.surroundings.random, every=self.settings.watch_route_every)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay.total_seconds()):
                    await self._summons.wait()
            if not self._summons.is_set() and await self._leads_elsewhere():
                return

    async def _leads_elsewhere(self) -> bool:
        """Whether the own name leads to another server now. A name that cannot be looked up is no reason to leave."""
        try:
            route = await self.surroundings.resolve(self.bundle.device_id, self.bundle.domain)
        except ResolutionError as error:
            self.emit({"event": "route_unknown", "reason": str(error), "server_name": self.server_name})
            return False
        if route.server_name == self.server_name:
            return False
        self.emit({"event": "moved", "from": self.server_name, "to": route.server_name})
        return True

    def _hear(self, message: Message) -> None:
        """Called by the connection for everything that comes down."""
        if message.topic == command_topic(self.bundle.device_id, MOVE_COMMAND):
            self.summon()
        elif not any(companion.hear(message) for companion in self.companions):
            self.emit({"event": "unknown_message", "topic": message.topic})

    async def _wait_for_retry(self, parting: Parting, *, was_connected: bool) -> None:
        """Let pass the time this failure asks for; `CannotConnectError` when there were enough of them."""
        self.failures += 1
        if self.failures == self.settings.attempts:
            raise CannotConnectError(parting.reason)
        was_admitted = self.server_name in self.state.admitted_by
        random = self.surroundings.random
        delay = retry_delay(
            self.failures - 1,
            random,
            was_ever_admitted=was_admitted,
            window=self.bundle.reconnect_window,
            was_connected=was_connected,
            place=self.bundle.reconnect_place,
            now=self._believed_time(),
        )
        if parting.was_dismissed and self._may_return_quickly():
            delay = dismissed_delay(random)
        told: dict[str, Any] = {"event": "failed", "reason": parting.reason, "was_ever_admitted": was_admitted}
        self.emit(told | {"retry_in_seconds": round(delay.total_seconds(), 1)})
        await self._pause(delay)

    def _believed_time(self) -> datetime | None:
        """What the clock shows, if it was ever set."""
        world = self.surroundings
        return None if world.clock_quality() is ClockQuality.UNKNOWN else world.clock()

    def _may_return_quickly(self) -> bool:
        """Whether no other dismissal was within `STABLE_AFTER`: who is sent away again and again keeps its place."""
        last, self._dismissed_at = self._dismissed_at, self.surroundings.monotonic()
        return last is None or self._dismissed_at - last >= STABLE_AFTER.total_seconds()

    async def _pause(self, delay: timedelta) -> None:
        """Let time pass, unless this side is asked to stop."""
        waits = [asyncio.ensure_future(self._stopping.wait()), asyncio.ensure_future(self._sleep(delay))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _sleep(self, delay: timedelta) -> None:
        await self.surroundings.sleep(delay.total_seconds())

    def _health(self, moment: datetime) -> Health:
        return Health(
            uptime_seconds=self.surroundings.monotonic() - self._started,
            boot_count=self.state.boot_count,
            reconnects=max(0, self.connects - 1),
            waiting_rows=self.sender.waiting,
            dropped=self.store.dropped,
            thinned_values=self.sampler.thinning.values,
            unheard_batches=self.sender.unheard,
            failed_samples=self.sampler.faults.count,
            signal_dbm=self.radio(moment).signal_dbm,
        )

    def _summary(self) -> dict[str, Any]:
        return {
            "event": "summary",
            "device": self.bundle.device,
            "server_name": self.server_name,
            "epoch": self.store.epoch + Priority.NORMAL,
            "batches": self.sender.delivered,
            "unheard_batches": self.sender.unheard,
            "dropped_rows": sum(self.store.dropped.values()),
            "thinned_values": self.sampler.thinning.values,
            "failed_samples": self.sampler.faults.count,
            "waiting_rows": self.sender.waiting,
            "wants_restart": self.wants_restart,
        }
