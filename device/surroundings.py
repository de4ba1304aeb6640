"""The world around an agent: time, chance, names, the network; what a test or a simulator brings of its own."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from device.connection import AwsDial
from device.link import Call, Dial
from device.preflight import Handshake, check_tls
from device.resolution import HostPort, Route, resolve_route
from protocol.device_id import DeviceId
from protocol.measurement import ClockQuality, Reading
from protocol.traffic import Random

Emit = Callable[[dict[str, Any]], None]
"""Told what happens: a plain dictionary with a name under `event`."""
Source = Callable[[datetime], tuple[Reading, ...]]
"""The sensors: what they say at a moment."""


@dataclass(frozen=True, slots=True)
class Radio:
    """The mobile network at hand, as the modem tells it."""

    operator: str = ""
    """What the modem calls it; nothing on a cable."""
    signal_dbm: Decimal | None = None


def no_radio(_moment: datetime) -> Radio:
    """A device on a cable."""
    return Radio()


Resolve = Callable[[DeviceId, str], Awaitable[Route]]
"""Where a device's name leads now, of its id and the domain; `ResolutionError`."""
Check = Callable[[Call], Awaitable[Handshake | None]]
"""Looks at a server before it is dialled; `PreflightError` when it must not be. None where it is known to be good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """One for a process, however many devices live in it."""

    clock: Callable[[], datetime]
    """Aware, UTC; may be wrong, and may jump."""
    clock_quality: Callable[[], ClockQuality]
    monotonic: Callable[[], float]
    """Seconds that only go forward."""
    random: Random
    sleep: Callable[[float], Awaitable[None]]
    resolve: Resolve
    check: Check
    dial: Dial


async def check_server(call: Call) -> Handshake:
    """The pre-flight, in a thread, so that a slow server holds up no other device."""
    anchors = call.credentials.trust_anchors
    return await asyncio.to_thread(check_tls, call.server_name, call.port, trust_anchors=anchors, proxy=call.proxy)


async def trust_server(_call: Call) -> None:
    """No pre-flight: for simulated devices, whose server one of them has checked."""


def utc_now() -> datetime:
    """What this machine's clock shows."""
    return datetime.now(UTC)


def real_surroundings(
    *, resolver: HostPort | None, clock: Callable[[], datetime], clock_quality: Callable[[], ClockQuality]
) -> Surroundings:
    """Those of one device on this machine."""
    return Surroundings(
        clock=clock,
        clock_quality=clock_quality,
        monotonic=time.monotonic,
        random=random.random,
        sleep=asyncio.sleep,
        resolve=partial(resolve_route, resolver=resolver),
        check=check_server,
        dial=AwsDial(),
    )


def whole_milliseconds(moment: datetime) -> datetime:
    """What the wire can carry of a moment."""
    return moment - timedelta(microseconds=moment.microsecond % 1000)
