"""What a device measures, when it has no real sensors: five channels that move as weather and batteries do.

A function of time alone, so that two samplers at the same moment agree.
"""

import math
from datetime import UTC, datetime
from decimal import Decimal

from protocol.measurement import Reading

_DAY_SECONDS = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def sample(moment: datetime) -> tuple[Reading, ...]:
    """The readings at `moment` (aware). Units are SenML's."""
    seconds = (moment - _EPOCH).total_seconds()
    day = math.sin(2 * math.pi * seconds / _DAY_SECONDS)
    ripple = math.sin(seconds / 7.3)
    return (
        Reading("temperature", _rounded(21 + 4 * day + 0.2 * ripple, "0.1"), "Cel"),
        Reading("humidity", _rounded(48 - 9 * day + 0.5 * ripple, "0.1"), "%RH"),
        Reading("pressure", _rounded(101_325 + 300 * day + 10 * ripple, "1"), "Pa"),
        Reading("battery", _rounded(3.9 - 0.3 * (seconds % _DAY_SECONDS) / _DAY_SECONDS, "0.001"), "V"),
        Reading("signal", signal_strength(moment), "dBm"),
    )


def signal_strength(moment: datetime) -> Decimal:
    """What the modem would say, in dBm."""
    return _rounded(-85 + 6 * math.sin((moment - _EPOCH).total_seconds() / 7.3), "1")


def _rounded(value: float, step: str) -> Decimal:
    return Decimal(repr(value)).quantize(Decimal(step))
