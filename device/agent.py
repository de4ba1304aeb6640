"""The agent: sample on its own clock, resolve, connect, deliver; again, until what was asked for is delivered.

Every wait is `protocol.traffic`'s; clock, randomness and sleep are arguments. What happens is told as events: plain
dictionaries with a name under `event`, for a person or a program to read. Rows that were not acknowledged stay in
memory and go first after a reconnect, as the same batch, so that a lake that has it already only writes it again; the
durable buffer takes their place later.

A connected device looks its own name up now and then. When it leads to another server, the device finishes its batch,
says DISCONNECT and goes there: nobody has to cut it off. One that is cut off goes where its name leads then.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from device.agent_state import AgentState, remember_admission, start
from device.connection import (
    NO_MATCHING_SUBSCRIBERS,
    Connection,
    ConnectionFailedError,
    Credentials,
    NotAcknowledgedError,
    connect,
)
from device.preflight import PreflightError, check_tls
from device.resolution import HostPort, ResolutionError, resolve_route
from device.sampler import sample
from protocol.bundle import CHAIN_FILE, TRUST_ANCHORS_FILE, Bundle
from protocol.measurement import Batch, ClockQuality, Row
from protocol.telemetry import encode_batch
from protocol.traffic import (
    ROUTE_WATCH,
    STABLE_AFTER,
    Random,
    dismissed_delay,
    publish_delay,
    retry_delay,
    route_watch_delay,
)

FIRMWARE = "1.0.0"
"""This agent's own version, as it stands in every batch."""
MAX_WAITING_ROWS = 3_600
"""An hour at a row a second, about 1 MiB; beyond it the oldest go, and the summary says how many."""
END_SECONDS = 1.0
"""How long an unacknowledged batch waits to learn why the connection ended; the library tells both at about once."""

Emit = Callable[[dict[str, Any]], None]


class CannotConnectError(Exception):
    """Every attempt failed; the message is the last one's."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run of the agent is asked to do."""

    folder: Path
    key: Path
    proxy: HostPort | None = None
    resolver: HostPort | None = None
    batches: int | None = None
    """Stop after so many acknowledged batches; nothing means never."""
    rows: int | None = None
    """Rows a batch; nothing means as many as are sampled in the schedule's 45 + random(30) seconds."""
    sample_every: timedelta = timedelta(seconds=1)
    watch_route_every: timedelta = ROUTE_WATCH
    """Between two looks at where the own name leads, while connected; the jitter comes on top."""
    attempts: int | None = None
    """Failures in a row before giving up; nothing means never, as in the field."""


@dataclass
class Agent:
    """One device at work."""

    bundle: Bundle
    settings: Settings
    emit: Emit
    clock: Callable[[], datetime]
    random: Random
    sleep: Callable[[float], None]
    waiting: deque[Row] = field(default_factory=deque)
    in_flight: int = 0
    """Rows at the front of `waiting` that were sent and not acknowledged."""
    sequence: int = 0
    dropped_rows: int = 0
    delivered: int = 0
    unheard: int = 0
    failures: int = 0
    """In a row; a connection that lasted `STABLE_AFTER` ends the row."""
    dismissed_at: datetime | None = None
    """When a cluster last sent it away."""
    server_name: str = ""
    """Where the device's name led last."""

    def run(self) -> dict[str, Any]:
        """Work until the batches asked for are acknowledged; the summary. `CannotConnectError` when it gives up."""
        state = start(self.settings.folder)
        template = Batch(
            device=self.bundle.device_id,
            epoch=int(self.clock().timestamp() * 1000),
            firmware=FIRMWARE,
            boot_count=state.boot_count,
            clock=ClockQuality.SYNCHRONIZED,
            rows=(),
        )
        while not self._is_done():
            try:
                connection = self._connect()
            except (ResolutionError, PreflightError, ConnectionFailedError) as error:
                self._wait_for_retry(state, str(error))
                continue
            state = self._session(connection, template, state)
        return {
            "event": "summary",
            "device": self.bundle.device,
            "server_name": self.server_name,
            "epoch": template.epoch,
            "batches": self.delivered,
            "unheard_batches": self.unheard,
            "dropped_rows": self.dropped_rows,
        }

    def _is_done(self) -> bool:
        return self.settings.batches is not None and self.delivered >= self.settings.batches

    def _session(self, connection: Connection, template: Batch, state: AgentState) -> AgentState:
        """Deliver over one connection until all is done, it ends, or the name leads elsewhere; then wait if need be."""
        since = self.clock()
        look_at = since + self._until_look()
        failure, moved = None, False
        try:
            while not (self._is_done() or failure or moved):
                failure = self._gather(connection)
                if failure is None:
                    self._deliver(connection, template)
                    state = remember_admission(self.settings.folder, state, self.server_name)
                    failure = connection.wait_ended(0)
                if self.clock() - since >= STABLE_AFTER:
                    self.failures = 0
                if failure is None and self.clock() >= look_at:
                    moved = self._leads_elsewhere()
                    look_at = self.clock() + self._until_look()
        except NotAcknowledgedError as error:
            failure = connection.wait_ended(END_SECONDS) or str(error)
        finally:
            connection.close()
        if not (self._is_done() or moved):
            self._wait_for_retry(state, failure or "the connection ended", dismissed=connection.was_dismissed)
        return state

    def _until_look(self) -> timedelta:
        return route_watch_delay(self.random, every=self.settings.watch_route_every)

    def _leads_elsewhere(self) -> bool:
        """Whether the own name leads to another server now. A name that cannot be looked up is no reason to leave."""
        try:
            route = resolve_route(self.bundle.device_id, self.bundle.domain, resolver=self.settings.resolver)
        except ResolutionError as error:
            self.emit({"event": "route_unknown", "reason": str(error), "server_name": self.server_name})
            return False
        if route.server_name == self.server_name:
            return False
        self.emit({"event": "moved", "from": self.server_name, "to": route.server_name})
        return True

    def _connect(self) -> Connection:
        folder, settings = self.settings.folder, self.settings
        route = resolve_route(self.bundle.device_id, self.bundle.domain, resolver=settings.resolver)
        self.server_name = route.server_name
        self.emit({"event": "resolved", "chain": route.chain, "server_name": route.server_name})
        anchors = folder / TRUST_ANCHORS_FILE
        handshake = check_tls(route.server_name, self.bundle.port, trust_anchors=anchors, proxy=settings.proxy)
        self.emit({"event": "trusted", "tls": handshake.tls_version, "cipher": handshake.cipher})
        connection = connect(
            route.server_name,
            self.bundle.port,
            Credentials(folder / CHAIN_FILE, settings.key, anchors),
            client_id=self.bundle.device,
            proxy=settings.proxy,
        )
        self.emit({"event": "connected", "server_name": route.server_name})
        return connection

    def _wait_for_retry(self, state: AgentState, reason: str, *, dismissed: bool = False) -> None:
        """Sample through the delay this failure asks for; `CannotConnectError` when there were enough of them."""
        self.failures += 1
        if self.failures == self.settings.attempts:
            raise CannotConnectError(reason)
        was_admitted = self.server_name in state.admitted_by
        window = self.bundle.reconnect_window
        delay = retry_delay(self.failures - 1, self.random, was_ever_admitted=was_admitted, window=window)
        if dismissed and self._may_return_quickly():
            delay = dismissed_delay(self.random)
        self.emit(
            {
                "event": "failed",
                "reason": reason,
                "was_ever_admitted": was_admitted,
                "retry_in_seconds": round(delay.total_seconds(), 1),
            }
        )
        self._sample_for(delay)

    def _gather(self, connection: Connection) -> str | None:
        """Sample until the next batch is full; why the connection ended, if it does meanwhile."""
        if self.in_flight:
            return connection.wait_ended(0)
        window = self.settings.rows or max(1, round(publish_delay(self.random) / self.settings.sample_every))
        while len(self.waiting) < window:
            self._sample_for(self.settings.sample_every)
            if not connection.is_open:
                return connection.wait_ended(0)
        self.in_flight = window
        return None

    def _may_return_quickly(self) -> bool:
        """Whether no other dismissal was within `STABLE_AFTER`: who is sent away again and again keeps its place."""
        last, self.dismissed_at = self.dismissed_at, self.clock()
        return last is None or self.dismissed_at - last >= STABLE_AFTER

    def _deliver(self, connection: Connection, template: Batch) -> None:
        """Send the batch and wait for its acknowledgement; the rows are forgotten only then."""
        batch = replace(template, rows=tuple(self.waiting)[: self.in_flight])
        wire = encode_batch(batch)
        code = connection.publish(self.bundle.topics.batch, wire)
        for _ in batch.rows:
            self.waiting.popleft()
        self.in_flight = 0
        self.delivered += 1
        self.unheard += code == NO_MATCHING_SUBSCRIBERS
        self.emit(
            {
                "event": "acknowledged",
                "first": batch.first,
                "last": batch.last,
                "measurements": batch.measurements,
                "bytes": len(wire),
                "rows": [
                    [row.sequence, row.time.isoformat(), reading.channel, str(reading.value), reading.unit]
                    for row in batch.rows
                    for reading in row.readings
                ],
            }
        )

    def _sample_for(self, duration: timedelta) -> None:
        """Go on sampling while time passes, connected or not."""
        for _ in range(max(1, round(duration / self.settings.sample_every))):
            moment = self.clock()
            moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
            self.waiting.append(Row(self.sequence, moment, sample(moment)))
            self.sequence += 1
            if len(self.waiting) > MAX_WAITING_ROWS:
                self.waiting.popleft()
                self.in_flight = max(0, self.in_flight - 1)
                self.dropped_rows += 1
            self.sleep(self.settings.sample_every.total_seconds())
