"""The agent: sample on its own clock, resolve, connect, deliver; again, until what was asked for is delivered.

Every wait is `protocol.traffic`'s; clock, randomness and sleep are arguments. What happens is told as events: plain
dictionaries with a name under `event`, for a person or a program to read. Rows that were not acknowledged stay in
memory and go first after a reconnect; the durable buffer takes their place later.
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
from protocol.traffic import STABLE_AFTER, Random, publish_delay, retry_delay

FIRMWARE = "1.0.0"
"""This agent's own version, as it stands in every batch."""
MAX_WAITING_ROWS = 3_600
"""An hour at a row a second, about 1 MiB; beyond it the oldest go, and the summary says how many."""

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
    sequence: int = 0
    dropped_rows: int = 0
    delivered: int = 0
    unheard: int = 0
    failures: int = 0
    """In a row; a connection that lasted `STABLE_AFTER` ends the row."""
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
        """Deliver over one connection until all is done or it ends; then wait before the next."""
        since, failure = self.clock(), None
        try:
            while not self._is_done() and failure is None:
                self._deliver(connection, template)
                state = remember_admission(self.settings.folder, state, self.server_name)
                if self.clock() - since >= STABLE_AFTER:
                    self.failures = 0
                failure = connection.wait_ended(0)
        except NotAcknowledgedError as error:
            failure = str(error)
        finally:
            connection.close()
        if not self._is_done():
            self._wait_for_retry(state, failure or "the connection ended")
        return state

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

    def _wait_for_retry(self, state: AgentState, reason: str) -> None:
        """Sample through the delay this failure asks for; `CannotConnectError` when there were enough of them."""
        self.failures += 1
        if self.failures == self.settings.attempts:
            raise CannotConnectError(reason)
        was_admitted = self.server_name in state.admitted_by
        window = self.bundle.reconnect_window
        delay = retry_delay(self.failures - 1, self.random, was_ever_admitted=was_admitted, window=window)
        self.emit(
            {
                "event": "failed",
                "reason": reason,
                "was_ever_admitted": was_admitted,
                "retry_in_seconds": round(delay.total_seconds(), 1),
            }
        )
        self._sample_for(delay)

    def _deliver(self, connection: Connection, template: Batch) -> None:
        """Send the next batch and wait for its acknowledgement; the rows are forgotten only then."""
        window = self.settings.rows or max(1, round(publish_delay(self.random) / self.settings.sample_every))
        if len(self.waiting) < window:
            self._sample_for(self.settings.sample_every * (window - len(self.waiting)))
        batch = replace(template, rows=tuple(self.waiting)[:window])
        wire = encode_batch(batch)
        code = connection.publish(self.bundle.topics.batch, wire)
        for _ in batch.rows:
            self.waiting.popleft()
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
                self.dropped_rows += 1
            self.sleep(self.settings.sample_every.total_seconds())
