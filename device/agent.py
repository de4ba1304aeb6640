"""The agent: sample on its own clock, resolve, connect, deliver; again, for as long as the device lives.

Two halves that know little of each other. The sampler writes rows into the buffer and never waits for a network; the
sender empties the buffer while there is a connection. Between them stands `RowStore`; what a power cut costs is up to
`device.row_group`. Every wait is `protocol.traffic`'s; what the world gives is `Surroundings`. What happens is told as
events: plain dictionaries with a name under `event`, for a person or a program to read.

A connected device looks its own name up now and then, and when it is told to move (`device.whereabouts`). When it leads
to another server, the device finishes the batch on its way, says DISCONNECT and goes there: nobody has to cut it off.

One event loop runs one agent or thousands.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from device.agent_state import remember_admission, start
from device.buffer.row import Priority
from device.companion import Companion
from device.configuration import Configuration
from device.link import Call, ConnectionFailedError, Link, Message
from device.metrics import Health, readings_of
from device.patience import Patience
from device.preflight import PreflightError
from device.resolution import ResolutionError
from device.row_store import RowStore
from device.sampler import Sampler
from device.sender import Sender
from device.session import Parting, Session
from device.settings import Settings
from device.shelf import Shelf
from device.surroundings import Emit, Radio, Source, Surroundings, no_radio
from device.whereabouts import Whereabouts
from protocol.bundle import Bundle
from protocol.topics import command_topic
from protocol.traffic import dismissed_delay

FIRMWARE = "1.0.0"
"""This agent's own version, as it stands in every batch."""
MOVE_COMMAND = "move"
"""The command that says: look your name up now, and go where it leads."""
STOP_SECONDS = 10.0
"""How long a device that is stopped goes on delivering what waits; the rest stays in the store."""


class CannotConnectError(Exception):
    """Every attempt failed; the message is the last one's."""


class Agent:
    """One device at work."""

    __slots__ = (
        "_started",
        "_stopping",
        "_subscribed_at",
        "bundle",
        "companions",
        "connects",
        "emit",
        "patience",
        "radio",
        "sampler",
        "sender",
        "settings",
        "shelf",
        "state",
        "store",
        "surroundings",
        "wants_restart",
        "whereabouts",
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
        self.patience = Patience(bundle)
        self.whereabouts = Whereabouts(bundle, surroundings, every=settings.watch_route_every, emit=emit)
        self._stopping = asyncio.Event()

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
                elif self.whereabouts.is_summoned:
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
        self.whereabouts.summon()

    def _is_done(self) -> bool:
        if self._stopping.is_set():
            return True
        if self.settings.row_limit is not None:
            return self.sampler.is_finished and not self.sender.waiting
        return self.settings.batches is not None and self.sender.delivered >= self.settings.batches

    async def _connect(self) -> Link:
        """Where the name leads now, and through the door there."""
        world = self.surroundings
        route = await self.whereabouts.find()
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
        session = Session(
            link,
            sender=self.sender,
            companions=self.companions,
            commands=self.bundle.topics.commands,
            # By this very process; an earlier firmware may have wanted less.
            is_subscribed=link.is_resumed and self._subscribed_at == self.whereabouts.server_name,
            on_admitted=self._remember_admission,
            emit=self.emit,
        )
        self.patience.connected(self.surroundings.monotonic())
        parting = await session.run(self.whereabouts)
        self.patience.over(self.surroundings.monotonic())
        return parting

    def _remember_admission(self) -> None:
        server_name = self._subscribed_at = self.whereabouts.server_name
        self.state = remember_admission(self.shelf, self.state, server_name)

    def _hear(self, message: Message) -> None:
        """Called by the connection for everything that comes down."""
        if message.topic == command_topic(self.bundle.device_id, MOVE_COMMAND):
            self.summon()
        elif not any(companion.hear(message) for companion in self.companions):
            self.emit({"event": "unknown_message", "topic": message.topic})

    async def _wait_for_retry(self, parting: Parting, *, was_connected: bool) -> None:
        """Let pass the time this failure asks for; `CannotConnectError` when there were enough of them."""
        if self.patience.failures + 1 == self.settings.attempts:
            raise CannotConnectError(parting.reason)
        was_admitted = self.whereabouts.server_name in self.state.admitted_by
        delay = self.patience.delay(
            self.surroundings,
            was_ever_admitted=was_admitted,
            was_connected=was_connected,
            was_dismissed=parting.was_dismissed,
        )
        told: dict[str, Any] = {"event": "failed", "reason": parting.reason, "was_ever_admitted": was_admitted}
        self.emit(told | {"retry_in_seconds": round(delay.total_seconds(), 1)})
        await self._pause(delay)

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
            "server_name": self.whereabouts.server_name,
            "epoch": self.store.epoch + Priority.NORMAL,
            "batches": self.sender.delivered,
            "unheard_batches": self.sender.unheard,
            "dropped_rows": sum(self.store.dropped.values()),
            "thinned_values": self.sampler.thinning.values,
            "failed_samples": self.sampler.faults.count,
            "waiting_rows": self.sender.waiting,
            "wants_restart": self.wants_restart,
        }
