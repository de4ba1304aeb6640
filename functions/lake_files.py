"""Batches as files of the lake: columns in Parquet, one file a day and model, the same bytes for the same batches.

Readings of one file lie in the order of their keys, so that readers skip what they do not ask for.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from itertools import chain, groupby, repeat

from arro3.core import Array, DataType, Field, Schema, Table
from arro3.io import write_parquet

from functions.delivery import Delivery
from protocol.lake import COLUMNS, MAX_AHEAD, NULLABLE, SUFFIX, Partition, model_label
from protocol.measurement import ClockQuality

COMPRESSION = "zstd(3)"
CREATED_BY = "flotilla"
DIGEST_CHARACTERS = 16
"""64 bits: two batches of one device and one range collide after some billions."""

_DAY_MILLISECONDS = 24 * 3600 * 1000
_EPOCH_DAY = date(1970, 1, 1)
_AHEAD_MILLISECONDS = MAX_AHEAD // timedelta(milliseconds=1)


@dataclass(frozen=True)
class LakeFile:
    """One object of the lake."""

    key: str
    content: bytes
    readings: int


@dataclass(frozen=True)
class _Part:
    """Rows of one delivery that lie in one partition: from row `start` to before row `end`."""

    delivery: Delivery
    start: int
    end: int


def lake_files(deliveries: Iterable[Delivery], models: Mapping[str, str]) -> list[LakeFile]:
    """The files of these batches. `models`: certificate to model, where one is known.

    A batch that comes twice is taken once, as it was received first.
    """
    once: dict[str, Delivery] = {}
    for delivery in sorted(deliveries, key=lambda each: each.received):
        once.setdefault(delivery.digest, delivery)
    parts: dict[Partition, list[_Part]] = {}
    for delivery in sorted(once.values(), key=_order):
        model = model_label(models.get(delivery.certificate or ""))
        for day, part in _parts_by_day(delivery):
            parts.setdefault(Partition(day, model), []).append(part)
    return [_file(partition, parts[partition]) for partition in sorted(parts, key=lambda each: each.prefix)]


def _order(delivery: Delivery) -> tuple[str, int, int, int, str]:
    envelope = delivery.envelope
    return envelope.device, envelope.epoch, envelope.first, envelope.last, delivery.digest


def _parts_by_day(delivery: Delivery) -> Iterator[tuple[date | None, _Part]]:
    """Runs of rows of one day; None for rows whose moment nobody knows."""
    latest = delivery.received + _AHEAD_MILLISECONDS
    knows = delivery.envelope.clock is not ClockQuality.UNKNOWN
    days = [time // _DAY_MILLISECONDS if knows and time <= latest else None for time in delivery.columns.times]
    start = 0
    for day, rows in groupby(days):
        end = start + sum(1 for _ in rows)
        yield None if day is None else _EPOCH_DAY + timedelta(days=day), _Part(delivery, start, end)
        start = end


def _file(partition: Partition, parts: Sequence[_Part]) -> LakeFile:
    filling = _Filling()
    for part in parts:
        filling.add(part, knows_time=partition.day is not None)
    content = BytesIO()
    write_parquet(filling.table(), content, compression=COMPRESSION, skip_arrow_metadata=True, created_by=CREATED_BY)
    return LakeFile(partition.prefix + _name(parts), content.getvalue(), filling.readings)


def _name(parts: Sequence[_Part]) -> str:
    """The same for the same batches; says whose rows these are where they are one device's."""
    batches = list(dict.fromkeys(part.delivery.digest for part in parts))
    if len(batches) == 1:
        one = parts[0].delivery.envelope
        return f"{one.device}-{one.epoch}-{one.first}-{one.last}-{batches[0][:DIGEST_CHARACTERS]}{SUFFIX}"
    digest = hashlib.sha256("".join(batches).encode()).hexdigest()
    return f"{len(batches)}-batches-{digest[:DIGEST_CHARACTERS]}{SUFFIX}"


class _Text:
    """A column of text under construction: every distinct text once, and which of them stands where."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._column = array("i")

    def add(self, text: str, count: int) -> None:
        """The same text `count` times."""
        self._column.extend(repeat(self._code(text), count))

    def add_coded(self, texts: Iterable[str], codes: Sequence[int]) -> None:
        """`texts[code]` for every code."""
        known = [self._code(text) for text in texts]
        self._column.extend(map(known.__getitem__, codes))

    def _code(self, text: str) -> int:
        return self._codes.setdefault(text, len(self._codes))

    def arrow(self) -> Array:
        """The column."""
        return Array(list(self._codes), DataType.string()).take(Array.from_buffer(self._column))


class _Filling:
    """A file's columns under construction."""

    def __init__(self) -> None:
        self._texts = {name: _Text() for name, kind in COLUMNS.items() if kind == "text"}
        self._integers = {name: array("q") for name, kind in COLUMNS.items() if kind in {"integer", "moment"}}
        self._values = array("d")
        self._knows_time = True

    @property
    def readings(self) -> int:
        """How many there are so far."""
        return len(self._values)

    def add(self, part: _Part, *, knows_time: bool) -> None:
        """Another part. Of one file every part knows the time, or none does."""
        self._knows_time = knows_time
        envelope, columns = part.delivery.envelope, part.delivery.columns
        counts = columns.counts[part.start : part.end]
        begin = sum(columns.counts[: part.start])
        end = begin + sum(counts)
        texts, integers = self._texts, self._integers
        for name, text in (
            ("device", str(envelope.device)),
            ("clock", envelope.clock.name.lower()),
            ("firmware", envelope.firmware),
        ):
            texts[name].add(text, end - begin)
        labels = columns.labels.codes[begin:end]
        texts["channel"].add_coded([channel for channel, _ in columns.labels.values], labels)
        texts["unit"].add_coded([unit for _, unit in columns.labels.values], labels)
        amounts = columns.amounts.codes[begin:end]
        texts["exact"].add_coded([f"{value:f}" for value in columns.amounts.values], amounts)
        self._values.extend(map([float(value) for value in columns.amounts.values].__getitem__, amounts))
        for name, number in (
            ("epoch", envelope.epoch),
            ("boot_count", envelope.boot_count),
            ("received", part.delivery.received),
        ):
            integers[name].extend(repeat(number, end - begin))
        sequences = range(envelope.first + part.start, envelope.first + part.end)
        integers["sequence"].extend(chain.from_iterable(map(repeat, sequences, counts)))
        times = columns.times[part.start : part.end]
        integers["device_time"].extend(chain.from_iterable(map(repeat, times, counts)))

    def table(self) -> Table:
        """The whole."""
        arrays = {name: text.arrow() for name, text in self._texts.items()}
        arrays |= {name: Array.from_buffer(column) for name, column in self._integers.items() if column}
        arrays["value"] = Array.from_buffer(self._values)
        arrays["time"] = arrays["device_time"] if self._knows_time else _nothing(self.readings)
        columns = [
            arrays[name].cast(_TYPES[kind]) if kind == "moment" else arrays[name] for name, kind in COLUMNS.items()
        ]
        return Table.from_arrays(columns, schema=_SCHEMA)


def _nothing(count: int) -> Array:
    return Array([None] * count, DataType.int64())


_TYPES = {
    "text": DataType.string(),
    "integer": DataType.int64(),
    "number": DataType.float64(),
    "moment": DataType.timestamp("ms", tz="UTC"),
}
_SCHEMA = Schema([Field(name, _TYPES[kind], nullable=name in NULLABLE) for name, kind in COLUMNS.items()])
