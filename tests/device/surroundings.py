"""A world in which nothing happens: what a test needs of it, it replaces."""

from datetime import UTC, datetime

from device.link import Call, Link, OnMessage
from device.resolution import Route
from device.surroundings import Surroundings, trust_server
from protocol.device_id import DeviceId
from protocol.measurement import ClockQuality


async def _at_once(_seconds: float) -> None:
    return


async def _nowhere(_device: DeviceId, _domain: str) -> Route:
    raise NotImplementedError


async def _nobody(_call: Call, _on_message: OnMessage, /) -> Link:
    raise NotImplementedError


def surroundings() -> Surroundings:
    return Surroundings(
        clock=lambda: datetime(2026, 11, 25, tzinfo=UTC),
        clock_quality=lambda: ClockQuality.SYNCHRONIZED,
        monotonic=lambda: 0.0,
        random=lambda: 0.0,
        sleep=_at_once,
        resolve=_nowhere,
        check=trust_server,
        dial=_nobody,
    )
