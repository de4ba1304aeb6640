"""What lies in the lake: the contract between the function that writes it and everybody who reads it.

Parquet files under `measurements/day=<day>/model=<model>/`, one line a reading. A day is that of the reading itself, in
UTC; `day=unknown` holds what no day can be given to. `docs/lake.md` describes it for those who query it.

(device, epoch, sequence, channel) names a reading for ever. Delivery is at least once, and a device may cut its backlog
into other batches than before: so the same reading may lie in several files, and whoever reads keeps the one received
first. `python -m fleet lake compact` does so for good.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

PREFIX = "measurements/"
SUFFIX = ".parquet"
UNKNOWN = "unknown"
"""In place of a day: the device had no clock, or one that ran ahead. In place of a model: the manifest names none."""

MAX_AHEAD = timedelta(minutes=10)
"""How far a reading may lie after its receipt. A clock kept by an oscillator of 20 ppm strays so far in a year; a time
beyond it is no moment, whatever the device says of its clock."""

Kind = Literal["text", "integer", "number", "moment"]
"""Parquet: string, int64, double, int64 as milliseconds since 1970 in UTC."""

COLUMNS: Mapping[str, Kind] = {
    "device": "text",
    "epoch": "integer",
    "sequence": "integer",
    "channel": "text",
    "value": "number",
    "exact": "text",
    "unit": "text",
    "time": "moment",
    "device_time": "moment",
    "clock": "text",
    "received": "moment",
    "firmware": "text",
    "boot_count": "integer",
}
"""`value` is the nearest double to `exact`, which is the decimal as it was sent. `time` is null where it is not known;
`device_time` is what the device said, whatever it is worth; `received` is when its batch arrived here."""
KEY = ("device", "epoch", "sequence", "channel")
NULLABLE = frozenset({"time"})

_MODEL = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PARTITION = re.compile(r"measurements/day=(?P<day>[0-9-]{10}|unknown)/model=(?P<model>[a-z0-9-]+)/[^/]+\.parquet")


@dataclass(frozen=True)
class Partition:
    """Where readings lie. `day` is None, and `model` `unknown`, where nothing is known."""

    day: date | None
    model: str

    @property
    def prefix(self) -> str:
        """What the keys of its files begin with."""
        return f"{day_prefix(self.day)}model={self.model}/"


def day_prefix(day: date | None) -> str:
    """What the keys of every file of a day begin with."""
    return f"{PREFIX}day={day.isoformat() if day else UNKNOWN}/"


def model_label(model: str | None) -> str:
    """The model as it stands in a key: `unknown` for none, and for what is no label."""
    return model if model is not None and _MODEL.fullmatch(model) else UNKNOWN


def partition_of(key: str) -> Partition | None:
    """Where a file lies by its key; None for what is no file of the lake."""
    found = _PARTITION.fullmatch(key)
    if found is None:
        return None
    try:
        day = None if found["day"] == UNKNOWN else date.fromisoformat(found["day"])
    except ValueError:
        return None
    return Partition(day, found["model"])
