"""One device's connection through the network: two ends, and what happens to the bytes on their way between them.

All times are the event loop's.
"""

import asyncio
import struct
from collections import Counter, deque
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Protocol

from device.resolution import HostPort
from device.simulator.conditions import (
    FIRST_RETRANSMIT_SECONDS,
    GOOD,
    LATE_SECONDS,
    Conditions,
    Direction,
    Harm,
    stall_seconds,
)
from protocol.traffic import Random

MAX_HEAD_BYTES = 8 * 1024
MAX_HELD_BYTES = 256 * 1024
"""Of one direction; beyond it the sender is slowed down, as by a full window."""
LOOK_SECONDS = 0.5
"""How often a path that is silent looks whether it still is."""


@dataclass(frozen=True)
class Upstream:
    """What stands for a name: a listener, which is a CONNECT proxy itself or not."""

    address: HostPort
    is_proxy: bool = False


class Network(Protocol):
    """What a crossing is part of."""

    random: Random
    attempts: Counter[int]
    """Connections that devices tried to open, by second of the loop's time."""
    harm: Counter[Harm]
    """How often it did what a good one does not."""

    def conditions(self, lane: int, target: str) -> Conditions:
        """What holds now."""

    def upstream(self, target: str) -> Upstream | None:
        """What stands for the name now."""

    def enter(self, crossing: "Crossing") -> None:
        """A device has connected."""

    def leave(self, crossing: "Crossing") -> None:
        """Both ends are gone."""


@dataclass(eq=False, slots=True)
class Crossing:
    """One device's connection through the proxy."""

    network: Network
    lane: int
    target: str = ""
    heard_at: float = 0.0
    """When anything last passed."""
    is_forgotten: bool = False
    near: "_End" = field(init=False)
    far: "_End" = field(init=False)
    opening: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        self.near, self.far = _End(self), _End(self)
        self.near.other, self.far.other = self.far, self.near

    @property
    def conditions(self) -> Conditions:
        """What holds now."""
        return self.network.conditions(self.lane, self.target)

    def is_dead(self, now: float) -> bool:
        """Whether a NAT on the path knows this connection no more; asked for each piece of data."""
        if not self.is_forgotten and now - self.heard_at >= self.conditions.forgets_after_seconds:
            self.is_forgotten = True
            self.network.harm[Harm.FORGOTTEN] += 1
        self.heard_at = now
        return self.is_forgotten

    def reset(self) -> None:
        """Both ends, as if each had lost the other."""
        for end in (self.near, self.far):
            end.reset()

    async def open(self, head: bytes) -> None:
        """Ask the way to the target, once the device has said which."""
        loop = asyncio.get_running_loop()
        self.target = head.split(b" ", 2)[1].rpartition(b":")[0].decode("latin-1").lower()
        self.network.attempts[int(loop.time())] += 1
        conditions, upstream = self.conditions, self.network.upstream(self.target)
        if conditions.refuses or upstream is None:
            self.near.refuse()
            return
        stalled = stall_seconds(1, conditions.loss, self.network.random, timer=FIRST_RETRANSMIT_SECONDS)
        self.network.harm[Harm.LOST] += stalled > 0
        await asyncio.sleep(stalled + 2 * conditions.delay_seconds)
        while self.conditions.is_silent:  # noqa: ASYNC110 - a scenario changes the conditions, and tells nobody
            await asyncio.sleep(LOOK_SECONDS)
        try:
            await loop.create_connection(lambda: self.far, upstream.address.host, upstream.address.port)
        except OSError:
            self.near.refuse()
            return
        self.heard_at = loop.time()
        if upstream.is_proxy:
            self.far.write(head)
        else:
            self.near.write(b"HTTP/1.1 200 Connection established\r\n\r\n")


class _End(asyncio.Protocol):
    """One end of a crossing: what arrives here leaves at the other, when the conditions let it."""

    __slots__ = ("_direction", "_head", "_held", "_held_bytes", "_timer", "crossing", "other", "transport")

    def __init__(self, crossing: Crossing) -> None:
        self.crossing = crossing
        self.other: _End = self
        self.transport: Any = None
        self._head: bytearray | None = None
        self._direction = Direction()
        self._held: deque[tuple[float, bytes]] = deque()
        """What is on its way from here, and when it arrives; empty bytes are the end."""
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self is self.crossing.near:
            self._head = bytearray()
            self.crossing.network.enter(self.crossing)
        elif self.other.transport is None or self.other.transport.is_closing():
            self.reset()

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            if self._head.endswith(b"\r\n\r\n"):
                head, self._head = bytes(self._head), None
                self.crossing.opening = asyncio.ensure_future(self.crossing.open(head))
            elif len(self._head) > MAX_HEAD_BYTES:
                self.reset()
            return
        self._send(data)

    def eof_received(self) -> bool:
        self._send(b"")
        return True

    def connection_lost(self, error: Exception | None) -> None:
        crossing = self.crossing
        if crossing.opening and not crossing.opening.done():
            crossing.opening.cancel()
        self.transport = None
        if error and not (crossing.is_forgotten or crossing.conditions.is_silent):
            self.other.reset()
        else:
            self._send(b"")
        if self.other.transport is None:
            self.forget()
            self.other.forget()
            crossing.network.leave(crossing)

    def write(self, data: bytes) -> None:
        """To whoever is at this end."""
        if self.transport is not None and not self.transport.is_closing():
            if data:
                self.transport.write(data)
            else:
                self.transport.close()

    def refuse(self) -> None:
        """Tell a device that there is no way."""
        self.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.write(b"")

    def reset(self) -> None:
        """As a host that died: the peer gets RST, not a goodbye."""
        if self.transport is not None and not self.transport.is_closing():
            plain = self.transport.get_extra_info("socket")
            plain.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    def _send(self, data: bytes) -> None:
        """Put on its way what arrived here."""
        loop = asyncio.get_running_loop()
        now, crossing = loop.time(), self.crossing
        if crossing.is_dead(now):
            return
        conditions = crossing.conditions
        if conditions is GOOD and not self._held:
            self.other.write(data)
            return
        arrival = self._direction.arrival(now, len(data), conditions, crossing.network.random)
        crossing.network.harm[Harm.LOST] += self._direction.stalled_seconds > 0
        crossing.network.harm[Harm.LATE] += arrival - now >= LATE_SECONDS
        self._held.append((arrival, data))
        self._held_bytes += len(data)
        if self._held_bytes > MAX_HELD_BYTES and self.transport is not None:
            self.transport.pause_reading()
        if self._timer is None:
            self._timer = loop.call_at(arrival, self._arrive)

    def _arrive(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        if self.crossing.conditions.is_silent:
            self._timer = loop.call_later(LOOK_SECONDS, self._arrive)
            return
        while self._held and self._held[0][0] <= loop.time():
            _, data = self._held.popleft()
            self._held_bytes -= len(data)
            self.other.write(data)
        if self._held_bytes <= MAX_HELD_BYTES and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
        if self._held:
            self._timer = loop.call_at(max(self._held[0][0], loop.time()), self._arrive)

    def forget(self) -> None:
        """What is still on its way goes nowhere."""
        if self._timer:
            self._timer.cancel()
        self._timer = None
        self._held.clear()
