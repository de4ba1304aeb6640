"""The sampler: measures on its own clock, connected or not, and puts what the rules keep into the buffer.

Whatever fails is told and left out: a sensor that answers nonsense costs no other its reading, and no moment the next.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from device.buffer.row import MAX_ROW_BYTES, Priority
from device.clock_watch import ClockWatch
from device.configuration import WHOLE_CHANNEL, ChannelConfiguration, Configuration
from device.edge.channel import ChannelState, Kept, finish, step
from device.edge.pressure import keep_every
from device.faults import Faults
from device.row_codec import Provenance, check_reading, encode_row
from device.row_group import RowGroup
from device.row_store import RowStore
from device.surroundings import Emit, Source, Surroundings, whole_milliseconds
from device.thinning import Thinning
from protocol.measurement import ClockQuality, Reading, moment_of_uptime
from protocol.senml import CHANNEL_TWICE, BatchRefusedError

SENSORS, METRICS, SAMPLER = "the sensors", "the metrics", "the sampler"
"""What fails as a whole, beside single channels."""


class Sampler:
    """One device's measuring."""

    __slots__ = (
        "_channels",
        "_clock_watch",
        "_configuration",
        "_emit",
        "_every",
        "_group",
        "_metrics",
        "_metrics_due",
        "_quality",
        "_started",
        "_units",
        "boot_count",
        "faults",
        "firmware",
        "has_urgent",
        "is_finished",
        "limit",
        "on_rows",
        "source",
        "store",
        "surroundings",
        "taken",
        "thinning",
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
        self._group, self.faults, self.thinning = RowGroup(store), Faults(emit), Thinning(emit)
        before = store.oldest(1)
        self.has_urgent = before is not None and before.priority is Priority.URGENT
        """Whether there are urgent rows that no sender knows of; a power cut may have come before they were sent."""
        self.taken = 0
        self.is_finished = False
        self.on_rows: Callable[[], None] = lambda: None
        """Called when rows were made."""

    @property
    def waiting(self) -> int:
        """How many rows are not in the buffer yet."""
        return len(self._group)

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
        self._store_what_is_due()

    async def run(self) -> None:
        """Sample until the limit, or for ever. A moment that was missed is left out, not made up for."""
        world = self.surroundings
        due = world.monotonic()
        while not self.is_finished:
            try:
                self.sample()
            except Exception as error:  # noqa: BLE001 - a moment that fails must not end the measuring of years
                self.faults.failed(SAMPLER, error)
            else:
                self.faults.worked(SAMPLER)
            due = max(due + self.every.total_seconds(), world.monotonic())
            await world.sleep(max(0.0, due - world.monotonic()))

    def sample(self) -> None:
        """Measure once."""
        moment = self._moment()
        fullness = self.store.fullness()
        left_out = 0
        rows: dict[tuple[Priority, datetime], list[Reading]] = {}
        for reading in self._readings(moment):
            rule = self._rule(reading.channel)
            state = self._channels.get(reading.channel, _FRESH)
            try:
                after, kept = step(rule, state, moment, reading.value, fullness=fullness)
            except ArithmeticError as error:
                self._channels.pop(reading.channel, None)
                self.faults.failed(reading.channel, error)
                continue
            self.faults.worked(reading.channel)
            left_out += after.thinned - state.thinned
            self._channels[reading.channel] = after
            self._units[reading.channel] = reading.unit
            for value in kept:
                rows.setdefault((rule.lane, value.time), []).extend(self._stored(reading.channel, value))
        for (priority, time), readings in sorted(rows.items(), key=lambda row: row[0]):
            self.put(priority, time, tuple(readings))
        self.thinning.note(left_out, keeps_one_in=keep_every(fullness))
        self._measure_itself(moment)
        self._store_what_is_due()
        if self.limit is not None and self.taken >= self.limit:
            self.finish()

    def put(self, priority: Priority, time: datetime, readings: tuple[Reading, ...]) -> None:
        """One row on its way to the buffer; nothing when it has no readings."""
        if not readings:
            return
        provenance = Provenance(self.boot_count, self._quality, self.firmware)
        row = encode_row(provenance, time, readings)
        if len(row) > MAX_ROW_BYTES and len(readings) > 1:
            half = len(readings) // 2
            self.put(priority, time, readings[:half])
            self.put(priority, time, readings[half:])
            return
        self._group.add(priority, row, now=self.surroundings.monotonic())
        self.has_urgent = self.has_urgent or priority is Priority.URGENT
        self.taken += 1
        self.on_rows()

    def hand_over(self) -> None:
        """Store what waits, now, for a sender that takes the urgent rows first."""
        self._group.store()
        self.has_urgent = False

    def finish(self) -> None:
        """Measure no more; what is at hand is stored, windows as far as they went."""
        if self.is_finished:
            return
        self.is_finished = True
        for channel in list(self._channels):
            self._end_window(channel)
        self._group.store()
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

    def _readings(self, moment: datetime) -> tuple[Reading, ...]:
        """What the sensors say, each channel once, without what a batch cannot hold."""
        try:
            said = self.source(moment)
        except Exception as error:  # noqa: BLE001 - a driver may raise anything, and works again at the next moment
            self.faults.failed(SENSORS, error)
            return ()
        self.faults.worked(SENSORS)
        sound: dict[str, Reading] = {}
        for reading in said:
            if reading.channel in sound:
                self.faults.failed(f"{reading.channel}, once more", BatchRefusedError(CHANNEL_TWICE))
            elif self._is_sound(reading):
                sound[reading.channel] = reading
        return tuple(sound.values())

    def _is_sound(self, reading: Reading) -> bool:
        try:
            check_reading(reading)
        except BatchRefusedError as error:
            self.faults.failed(reading.channel, error)
            return False
        return True

    def _measure_itself(self, moment: datetime) -> None:
        now = self.surroundings.monotonic()
        if now < self._metrics_due:
            return
        self._metrics_due = now + self._configuration.metrics_seconds
        try:
            readings = self._metrics(moment)
        except Exception as error:  # noqa: BLE001 - so may a modem that is asked for its signal
            self.faults.failed(METRICS, error)
            return
        self.faults.worked(METRICS)
        self.put(Priority.BULK, moment, readings)

    def _store_what_is_due(self) -> None:
        self._group.store_what_is_due(next_at=self.surroundings.monotonic() + self.every.total_seconds())

    def _rule(self, channel: str) -> ChannelConfiguration:
        return self._configuration.channels.get(channel, WHOLE_CHANNEL)

    def _end_window(self, channel: str) -> None:
        rule = self._rule(channel)
        try:
            values = finish(rule, self._channels.pop(channel))
        except ArithmeticError as error:
            self.faults.failed(channel, error)
            return
        if values:
            readings = tuple(reading for value in values for reading in self._stored(channel, value))
            self.put(rule.lane, values[0].time, readings)

    def _stored(self, channel: str, kept: Kept) -> tuple[Reading, ...]:
        """The reading to store; none when the name or the number of a statistic is longer than a batch can hold."""
        if kept.statistic is None:
            return (Reading(channel, kept.value, self._units[channel]),)
        reading = Reading(f"{channel}.{kept.statistic}", kept.value, self._units[channel])
        return (reading,) if self._is_sound(reading) else ()


_FRESH = ChannelState()
