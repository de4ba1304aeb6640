"""How the device is itself, as channels of ordinary batches: no topic and no format of their own to secure or to lose.

They go at the lowest priority, so that a full buffer gives them up before any measurement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from device.buffer.row import Reason
from protocol.measurement import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What an agent knows of itself at a moment."""

    uptime_seconds: float
    """Since this start."""
    boot_count: int
    reconnects: int
    """Connections since this start, without the first."""
    waiting_rows: int
    dropped: Mapping[Reason, int]
    """Rows by reason, since the buffer's file was made."""
    thinned_values: int
    """Left out while the buffer filled, since this start."""
    unheard_batches: int
    failed_samples: int
    """Readings that a sensor did not give, since this start."""
    signal_dbm: Decimal | None
    """What the modem says of its network; nothing on a cable."""


def readings_of(health: Health) -> tuple[Reading, ...]:
    """As channels. Units are SenML's (RFC 8428, section 12.1; dBm: RFC 8798)."""
    counts = {
        "boots": health.boot_count,
        "reconnects": health.reconnects,
        "waiting_rows": health.waiting_rows,
        "dropped_rows": sum(health.dropped.values()),
        **{f"dropped_rows.{reason}": rows for reason, rows in health.dropped.items() if rows},
        "thinned_values": health.thinned_values,
        "unheard_batches": health.unheard_batches,
        "failed_samples": health.failed_samples,
    }
    readings = [Reading("device.uptime", Decimal(int(health.uptime_seconds)), "s")]
    readings += [Reading(f"device.{name}", Decimal(count), "count") for name, count in counts.items()]
    if health.signal_dbm is not None:
        readings.append(Reading("device.signal", health.signal_dbm, "dBm"))
    return tuple(readings)
