"""One connection to a broker as the agent sees it, and what opens one: the seam behind which the MQTT library stands.

`device.connection` is AWS's client behind it; a simulator may bring a cheaper one. A `Link` lives once: when it ends it
says why, and the agent decides when there is a next one. Nothing is queued inside: what is not acknowledged has failed,
and stays with the caller. All of it belongs to one event loop.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from device.resolution import HostPort

NO_MATCHING_SUBSCRIBERS = 0x10
"""PUBACK: accepted, but nobody listens (MQTT 5, section 3.4.2.1); counted, and not a delivery."""
FIRST_FAILURE_CODE = 0x80
"""Reason codes from here on are failures (MQTT 5, section 2.4)."""


class ConnectionFailedError(Exception):
    """The broker was not reached, or did not let this identity in; the message is the library's or CONNACK's."""


class NotAcknowledgedError(Exception):
    """A publish or subscribe was refused, or its answer never came; the connection may be gone."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files that prove who is who. `key` is read by the TLS library, and by `device.papers` to see whose it is."""

    chain: Path
    key: Path
    trust_anchors: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Whom to call, and as whom."""

    server_name: str
    """The name to connect to, to send as TLS server name, and to verify."""
    port: int
    credentials: Credentials
    client_id: str
    keep_alive: timedelta
    session_expiry: timedelta
    """How long the broker keeps subscriptions and messages for a device that is away (MQTT 5, section 3.1.2.11.2)."""
    proxy: HostPort | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message that came down."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a connection is no more."""

    reason: str
    was_dismissed: bool = False
    """The broker's administrator sent this device away (MQTT 5, section 3.14.2.1: 0x98); the broker itself is up."""


class Link(Protocol):
    """An open connection."""

    @property
    def is_resumed(self) -> bool:
        """Whether the broker still had this device's session, and with it its subscriptions."""

    @property
    def ended(self) -> "asyncio.Future[Ended]":
        """Done when the connection is no more, whoever ended it."""

    async def publish(self, topic: str, payload: bytes) -> int:
        """Publish at QoS 1 and wait for PUBACK; its reason code. `NotAcknowledgedError` for codes from 0x80."""

    async def subscribe(self, *topic_filters: str) -> None:
        """Subscribe at QoS 1, in one packet; `NotAcknowledgedError` when the broker refuses one of them."""

    async def close(self) -> None:
        """Say DISCONNECT and let go. Harmless when repeated."""


OnMessage = Callable[[Message], None]
"""Called in the event loop for each message that comes down, from the moment the connection stands."""


class Dial(Protocol):
    """Opens connections."""

    async def __call__(self, call: Call, on_message: OnMessage, /) -> Link:
        """Connect once; `ConnectionFailedError` says why not."""
