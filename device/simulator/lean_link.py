"""One MQTT 5 connection of a simulated device on asyncio; the packets are the `mqtt5` library's.

AWS's client takes 76 KiB a connection and threads of its own; this one takes less, and keeps the time of the event loop
(`device.simulator.paced_loop`).
"""

import asyncio
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import mqtt5
from OpenSSL import SSL

from device.link import (
    FIRST_FAILURE_CODE,
    Call,
    ConnectionFailedError,
    Ended,
    Message,
    NotAcknowledgedError,
    OnMessage,
)
from device.simulator.lean_tls import Identity, LeanTls, failure_text
from protocol.topics import MAX_PAYLOAD_BYTES

ACKNOWLEDGE_TIMEOUT_SECONDS = 30.0
PING_TIMEOUT_SECONDS = 30.0
"""As `device.connection` has them, and AWS's client behind it."""
LENIENCY = 4
"""How much longer a keep-alive a broker is told where time runs faster than its own, because it may also run slower."""
LAST_PACKET_ID = 65_535


class LeanLink(asyncio.Protocol):
    """One connection, from the CONNECT of a proxy to the DISCONNECT of MQTT."""

    __slots__ = (
        "_answers",
        "_call",
        "_clear",
        "_heard_at",
        "_identity",
        "_on_message",
        "_packet_id",
        "_step",
        "_timer",
        "_tls",
        "_transport",
        "admitted",
        "ended",
        "is_resumed",
        "pace",
    )

    def __init__(self, call: Call, identity: Identity, on_message: OnMessage, pace: float) -> None:
        loop = asyncio.get_running_loop()
        self._call, self._identity, self._on_message, self.pace = call, identity, on_message, pace
        self.is_resumed = False
        self.admitted: asyncio.Future[bool] = loop.create_future()
        """Whether the broker had a session; done with CONNACK."""
        self.ended: asyncio.Future[Ended] = loop.create_future()
        self._transport: Any = None
        self._tls: LeanTls | None = None
        self._step: Callable[[bytes], None] = self._tunnel if call.proxy else self._secure
        self._clear = b""
        """What was read and is no whole packet, or no whole answer of a proxy, yet."""
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._packet_id = 0
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def publish(self, topic: str, payload: bytes) -> int:
        """Publish at QoS 1 and wait for PUBACK; its reason code. `NotAcknowledgedError` for codes from 0x80."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise NotAcknowledgedError(f"{topic}: {len(payload)} bytes; the broker takes {MAX_PAYLOAD_BYTES}")
        number = self._next_id()
        packet = mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number)
        answer = await self._answer(number, packet.write(), topic)
        return _accepted(topic, answer.reason_code, answer.reason_str)

    async def subscribe(self, *topic_filters: str) -> None:
        """Subscribe at QoS 1, in one packet; `NotAcknowledgedError` when the broker refuses one of them."""
        number = self._next_id()
        wanted = [mqtt5.TopicFilter(each, max_qos=mqtt5.QoS.AT_LEAST_ONCE) for each in topic_filters]
        answer = await self._answer(number, mqtt5.SubscribePacket(number, wanted).write(), ", ".join(topic_filters))
        for topic_filter, code in zip(topic_filters, answer.reason_codes, strict=True):
            _accepted(topic_filter, code, answer.reason_str)

    async def close(self) -> None:
        """Say DISCONNECT and let go. Harmless when repeated."""
        if self._transport is not None and not self.ended.done():
            self._write(mqtt5.DisconnectPacket().write())
            self._end("this side hung up")
        self.abandon()

    def abandon(self) -> None:
        """Let go, whatever state it is in."""
        if self._timer:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()
        self.admitted.cancel()
        self.ended.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection to the proxy, or the broker, stands."""
        self._transport = transport
        call = self._call
        if call.proxy:
            target = f"{call.server_name}:{call.port}"
            self._transport.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
        else:
            self._go_on(self._begin_tls)

    def data_received(self, data: bytes) -> None:
        """Something came; what it means depends on how far this connection is."""
        self._go_on(self._step, data)

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will come."""
        self._transport = None
        self._end(f"the connection broke: {error}" if error else "the broker closed the connection")

    def _go_on(self, step: Callable[..., None], *arguments: bytes) -> None:
        try:
            step(*arguments)
        except SSL.Error as error:
            self._end(failure_text(error))
        except (ConnectionFailedError, ValueError) as error:
            self._end(str(error))

    def _tunnel(self, data: bytes) -> None:
        """The proxy's answer; nothing of TLS can come before we begin."""
        self._clear += data
        head, end, _ = self._clear.partition(b"\r\n\r\n")
        if end:
            status = head.split(b"\r\n", 1)[0].decode("latin-1")
            if status.split(" ")[1:2] != ["200"]:
                raise ConnectionFailedError(f"the proxy answered {status!r}")
            self._clear, self._step = b"", self._secure
            self._begin_tls()

    def _begin_tls(self) -> None:
        self._tls = LeanTls(self._identity, self._call.server_name)
        self._secure(b"")

    def _secure(self, data: bytes) -> None:
        """The handshake, and CONNECT behind it."""
        assert self._tls is not None  # noqa: S101 - begun before anything is read; for the type checker
        self._tls.take(data)
        if not self._tls.is_ready():
            self._flush()
            return
        self._step = self._packets
        expiry = self._call.session_expiry / self.pace
        packet = mqtt5.ConnectPacket(
            self._call.client_id,
            clean_start=not expiry,
            keep_alive=_whole(self._call.keep_alive * (1 if self.pace == 1 else LENIENCY) / self.pace),
            session_expiry_interval=_whole(expiry),
        )
        self._write(packet.write())

    def _packets(self, data: bytes) -> None:
        """Everything after the handshake."""
        assert self._tls is not None  # noqa: S101 - as above
        self._heard_at = asyncio.get_running_loop().time()
        self._tls.take(data)
        while clear := self._tls.decrypted():
            self._clear += clear
            while self._clear:
                try:
                    packet, size = mqtt5.read(memoryview(self._clear))
                except IndexError:
                    break
                self._clear = self._clear[size:]
                self._take(packet)

    def _take(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.ConnAckPacket():
                if int(packet.reason_code) >= FIRST_FAILURE_CODE:
                    text = f" ({packet.reason_str})" if packet.reason_str else ""
                    raise ConnectionFailedError(f"the broker refused: {packet.reason_code.name}{text}")
                self.admitted.set_result(packet.session_present)
                self._ping_later()
            case mqtt5.PubAckPacket() | mqtt5.SubAckPacket():
                answer = self._answers.pop(packet.packet_id, None)
                if answer and not answer.done():
                    answer.set_result(packet)
            case mqtt5.PublishPacket():
                if packet.packet_id is not None:
                    self._write(mqtt5.PubAckPacket(packet.packet_id).write())
                self._on_message(Message(packet.topic, packet.payload))
            case mqtt5.DisconnectPacket():
                was_dismissed = packet.reason_code is mqtt5.DisconnectReasonCode.ADMINISTRATIVE_ACTION
                self._end(f"the broker disconnected: {packet.reason_code.name}", was_dismissed=was_dismissed)

    def _next_id(self) -> int:
        self._packet_id = self._packet_id % LAST_PACKET_ID + 1
        return self._packet_id

    async def _answer(self, number: int, packet: bytes, topic: str) -> Any:
        if self.ended.done():
            raise NotAcknowledgedError(f"{topic}: the connection is no more")
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._write(packet)
        try:
            async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_SECONDS):
                return await answer
        except TimeoutError:
            raise NotAcknowledgedError(f"{topic}: no answer in {ACKNOWLEDGE_TIMEOUT_SECONDS:.0f} s") from None
        finally:
            self._answers.pop(number, None)

    def _write(self, packet: bytes) -> None:
        assert self._tls is not None  # noqa: S101 - as above
        self._tls.encrypt(packet)
        self._flush()

    def _flush(self) -> None:
        assert self._tls is not None  # noqa: S101 - as above
        if self._transport is not None and (data := self._tls.outgoing()):
            self._transport.write(data)

    def _ping_later(self) -> None:
        """A PINGREQ each keep-alive, whatever else was sent: simpler than the least that is allowed."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._call.keep_alive.total_seconds(), self._ping)

    def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        self._write(mqtt5.PingReqPacket().write())
        self._timer = loop.call_later(PING_TIMEOUT_SECONDS, self._expect_answer, loop.time())

    def _expect_answer(self, since: float) -> None:
        if self._heard_at < since:
            self._end(f"no answer to a ping in {PING_TIMEOUT_SECONDS:.0f} s")
        else:
            self._ping_later()

    def _end(self, reason: str, *, was_dismissed: bool = False) -> None:
        """The connection is no more; whoever waits for it is told, once."""
        if self._timer:
            self._timer.cancel()
        if not self.admitted.done():
            self.admitted.set_exception(ConnectionFailedError(reason))
        elif not self.ended.done():
            self.ended.set_result(Ended(reason, was_dismissed=was_dismissed))
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(NotAcknowledgedError(reason))
        self._answers.clear()
        if self._transport is not None:
            self._transport.close()


def _accepted(topic: str, code: Any, reason: str | None) -> int:
    if int(code) >= FIRST_FAILURE_CODE:
        text = f" ({reason})" if reason else ""
        raise NotAcknowledgedError(f"{topic}: refused: {code.name}{text}")
    return int(code)


def _whole(time: timedelta) -> int:
    return math.ceil(time.total_seconds())
