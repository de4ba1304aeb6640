"""Tables as they lie in the lake, written line by line."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from fleet.lake.fold import SCHEMA

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def line(sequence: int = 1, **changes: Any) -> dict[str, Any]:
    """One reading; what is not said is the same for all."""
    moment = START + timedelta(seconds=sequence)
    return {
        "device": "device1",
        "epoch": 3,
        "sequence": sequence,
        "channel": "t",
        "value": 21.5,
        "exact": "21.5",
        "unit": "Cel",
        "time": moment,
        "device_time": moment,
        "clock": "synchronized",
        "received": START + timedelta(hours=1),
        "firmware": "1.0.0",
        "boot_count": 1,
        **changes,
    }


def table(*lines: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(lines), schema=SCHEMA)
