"""The sampler: measures on its own clock, connected or not, and puts what the rules keep into the buffer.

Rows are stored in groups, because each group costs the flash a write (docs/buffer.md); a row is durable once its group
is. What a sender wants now is stored early by `flush`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from device.buffer.row import MAX_ROW_BYTES, Priority
from device.clock_watch import ClockWatch
from device.configuration import WHOLE_CHANNEL, ChannelConfiguration, Configuration
from device.edge.channel import ChannelState, Kept, finish, step
from device.row_codec import Provenance, encode_row
from device.row_store import RowStore
from device.surroundings import Emit, Source, Surroundings, whole_milliseconds
from protocol.measurement import ClockQuality, Reading, moment_of_uptime

GROUP_ROWS = 60
"""A minute at a row a second: the group at which appends are cheap (measured, docs/buffer.md)."""


class Sampler:
    """One device's measuring."""

    __slots__ = (
        "_channels",
        "_clock_watch",
        "_configuration",
        "_emit",
        "_every",
        "_metrics",
        "_metrics_due",
        "_quality",
        "_started",
        "_units",
        "_waiting",
        "boot_count",
        "firmware",
        "is_finished",
        "limit",
        "on_rows",
        "source",
        "store",
        "surroundings",
        "taken",
    )

    def __init__(
        self,
        *,
        source: Source,
        store: RowStore,
        surroundings: Surroundings,
        configuration: Configuration,
        boot_count: int,
        firmware: str,
        emit: Emit,
        metrics: Callable[[datetime], tuple[Reading, ...]] = lambda _moment: (),
        every: timedelta | None = None,
        limit: int | None = None,
    ) -> None:
        """`metrics`: how the device is itself. `every`: between two samples, whatever the configuration says.

        `limit`: finish after so many rows.
        """
        self._clock_watch, self._emit, self._metrics = ClockWatch(), emit, metrics
        self._started, self._quality = surroundings.monotonic(), surroundings.clock_quality()
        self._metrics_due = self._started + configuration.metrics_seconds
        self.source, self.store, self.surroundings = source, store, surroundings
        self.boot_count, self.firmware, self.limit = boot_count, firmware, limit
        self._configuration, self._every = configuration, every
        self._channels: dict[str, ChannelState] = {}
        self._units: dict[str, str] = {}
        self._waiting: list[tuple[Priority, bytes]] = []
        self.taken = 0
        self.is_finished = False
        self.on_rows: Callable[[], None] = lambda: None
        """Called when rows were made."""

    @property
    def waiting(self) -> int:
        """How many rows are not in the buffer yet."""
        return len(self._waiting)

    @property
    def has_urgent(self) -> bool:
        """Whether one of them must not wait for its group."""
        return any(priority is Priority.URGENT for priority, _ in self._waiting)

    @property
    def configuration(self) -> Configuration:
        """What it works by."""
        return self._configuration

    @property
    def every(self) -> timedelta:
        """Between two samples."""
        return self._every or self._configuration.sample_every

    def configure(self, configuration: Configuration) -> None:
        """Work by another from the next sample on; a channel whose rule changed tells the window it was in first."""
        for channel in [c for c in self._channels if self._rule(c) != configuration.channels.get(c, WHOLE_CHANNEL)]:
            self._end_window(channel)
        self._configuration = configuration

    async def run(self) -> None:
        """Sample until the limit, or for ever. A moment that was missed is left out, not made up for."""
        world = self.surroundings
        due = world.monotonic()
        while not self.is_finished:
            self.sample()
            due = max(due + self.every.total_seconds(), world.monotonic())
            await world.sleep(max(0.0, due - world.monotonic()))

    def sample(self) -> None:
        """Measure once."""
        moment = self._moment()
        fullness = self.store.fullness()
        rows: dict[tuple[Priority, datetime], list[Reading]] = {}
        for reading in self.source(moment):
            rule = self._rule(reading.channel)
            state = self._channels.get(reading.channel, _FRESH)
            self._channels[reading.channel], kept = step(rule, state, moment, reading.value, fullness=fullness)
            self._units[reading.channel] = reading.unit
            for value in kept:
                rows.setdefault((rule.lane, value.time), []).append(_reading(reading.channel, reading.unit, value))
        for (priority, time), readings in sorted(rows.items(), key=lambda row: row[0]):
            self.put(priority, time, tuple(readings))
        self._measure_itself(moment)
        if self.limit is not None and self.taken >= self.limit:
            self.finish()

    def put(self, priority: Priority, time: datetime, readings: tuple[Reading, ...]) -> None:
        """One row on its way to the buffer."""
        provenance = Provenance(self.boot_count, self._quality, self.firmware)
        row = encode_row(provenance, time, readings)
        if len(row) > MAX_ROW_BYTES and len(readings) > 1:
            half = len(readings) // 2
            self.put(priority, time, readings[:half])
            self.put(priority, time, readings[half:])
            return
        self._waiting.append((priority, row))
        self.taken += 1
        if len(self._waiting) >= GROUP_ROWS:
            self.flush()
        self.on_rows()

    def flush(self) -> None:
        """Store what waits, now."""
        waiting, self._waiting = self._waiting, []
        for priority in Priority:
            if rows := [row for p, row in waiting if p is priority]:
                self.store.append(rows, priority)

    def finish(self) -> None:
        """Measure no more; what is at hand is stored, windows as far as they went."""
        if self.is_finished:
            return
        self.is_finished = True
        for channel in list(self._channels):
            self._end_window(channel)
        self.flush()
        self.on_rows()

    def _moment(self) -> datetime:
        """The time of a sample taken now: what the clock shows, or how long the device has run when it has none."""
        world = self.surroundings
        quality = world.clock_quality()
        if (quality is ClockQuality.UNKNOWN) != (self._quality is ClockQuality.UNKNOWN):
            # Two ways to count must not meet in one window.
            for channel in list(self._channels):
                self._end_window(channel)
            self._clock_watch = ClockWatch()
        if quality is not self._quality:
            self._emit({"event": "clock", "was": self._quality.name.lower(), "is": quality.name.lower()})
            self._quality = quality
        if quality is ClockQuality.UNKNOWN:
            return whole_milliseconds(moment_of_uptime(timedelta(seconds=world.monotonic() - self._started)))
        moment = whole_milliseconds(world.clock())
        if jump := self._clock_watch.jump(moment, world.monotonic()):
            self._emit({"event": "clock_jumped", "by_seconds": round(jump.total_seconds(), 1)})
        return moment

    def _measure_itself(self, moment: datetime) -> None:
        now = self.surroundings.monotonic()
        if now >= self._metrics_due:
            self._metrics_due = now + self._configuration.metrics_seconds
            if readings := self._metrics(moment):
                self.put(Priority.BULK, moment, readings)

    def _rule(self, channel: str) -> ChannelConfiguration:
        return self._configuration.channels.get(channel, WHOLE_CHANNEL)

    def _end_window(self, channel: str) -> None:
        rule = self._rule(channel)
        for value in finish(rule, self._channels.pop(channel)):
            self.put(rule.lane, value.time, (_reading(channel, self._units[channel], value),))


def _reading(channel: str, unit: str, kept: Kept) -> Reading:
    return Reading(f"{channel}.{kept.statistic}" if kept.statistic else channel, kept.value, unit)


_FRESH = ChannelState()
