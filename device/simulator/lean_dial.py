"""A `Dial` for thousands of devices in one process: MQTT 5 over mutual TLS on asyncio, with what a fleet shares shared.

AWS's client takes 76 KiB a connection and threads of its own; this one is about two thirds of that, and keeps the time
of the event loop (`device.simulator.paced_loop`). The packets are the `mqtt5` library's. TLS is OpenSSL through
pyOpenSSL, because there one context with its trust anchors serves a whole fleet, and each connection has its own key.
"""

import asyncio
import math
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any

import mqtt5
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL, crypto

from device.link import (
    FIRST_FAILURE_CODE,
    Call,
    ConnectionFailedError,
    Credentials,
    Ended,
    Message,
    NotAcknowledgedError,
    OnMessage,
)
from device.resolution import HostPort
from protocol.topics import MAX_PAYLOAD_BYTES

CONNECT_TIMEOUT_SECONDS = 60.0
ACKNOWLEDGE_TIMEOUT_SECONDS = 30.0
PING_TIMEOUT_SECONDS = 30.0
"""As `device.connection` has them, and AWS's client behind it."""
LENIENCY = 4
"""How much longer a keep-alive a broker is told where time runs faster than its own, because it may also run slower."""
READ_BYTES = 64 * 1024
RELEASE_BUFFERS = 0x10
"""OpenSSL's SSL_MODE_RELEASE_BUFFERS: an idle connection keeps no record buffers, 34 KiB of them."""
LAST_PACKET_ID = 65_535
CONTEXTS = 64
"""How many different trust anchors and issuers are remembered; a fleet has a few."""


class LeanDial:
    """Opens connections. `pace`: of the event loop; intervals that the broker counts are told so much shorter."""

    __slots__ = ("_direct", "_pace")

    def __init__(self, pace: float = 1.0, direct: Callable[[Call], HostPort] | None = None) -> None:
        """`direct`: where a server listens when no proxy leads to it; nothing means its name and port."""
        self._pace, self._direct = pace, direct

    async def __call__(self, call: Call, on_message: OnMessage, /) -> "LeanLink":
        """Connect once; `ConnectionFailedError` says why not."""
        loop = asyncio.get_running_loop()
        link = LeanLink(call, on_message, self._pace)
        entrance = call.proxy or (self._direct(call) if self._direct else HostPort(call.server_name, call.port))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await loop.create_connection(lambda: link, entrance.host, entrance.port)
                link.is_resumed = await link.admitted
        except TimeoutError:
            link.abandon()
            where = f"{call.server_name}:{call.port}"
            raise ConnectionFailedError(f"{where}: no answer in {CONNECT_TIMEOUT_SECONDS:.0f} s") from None
        except OSError as error:
            link.abandon()
            raise ConnectionFailedError(f"{call.server_name}:{call.port}: {error.strerror or error}") from None
        except BaseException:
            link.abandon()
            raise
        return link


class LeanLink(asyncio.Protocol):
    """One connection, from the CONNECT of a proxy to the DISCONNECT of MQTT."""

    __slots__ = (
        "_answers",
        "_call",
        "_clear",
        "_heard_at",
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

    def __init__(self, call: Call, on_message: OnMessage, pace: float) -> None:
        loop = asyncio.get_running_loop()
        self._call, self._on_message, self.pace = call, on_message, pace
        self.is_resumed = False
        self.admitted: asyncio.Future[bool] = loop.create_future()
        """Whether the broker had a session; done with CONNACK."""
        self.ended: asyncio.Future[Ended] = loop.create_future()
        self._transport: Any = None
        self._tls: SSL.Connection | None = None
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
            self._begin_tls()

    def data_received(self, data: bytes) -> None:
        """Something came; what it means depends on how far this connection is."""
        try:
            self._step(data)
        except SSL.ZeroReturnError:
            self._end("the broker closed the connection")
        except (SSL.Error, ConnectionFailedError, ValueError) as error:
            self._end(_text(error))

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will come."""
        self._transport = None
        self._end(f"the connection broke: {error}" if error else "the broker closed the connection")

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
        files = self._call.credentials
        certificate, context = _identity(files)
        self._tls = tls = SSL.Connection(context, None)
        tls.set_tlsext_host_name(self._call.server_name.encode("ascii"))
        tls.use_certificate(certificate)
        tls.use_privatekey(serialization.load_pem_private_key(files.key.read_bytes(), None))  # type: ignore[arg-type]  # a P-256 or RSA key
        tls.set_connect_state()
        self._secure(b"")

    def _secure(self, data: bytes) -> None:
        """The handshake, and CONNECT behind it."""
        assert self._tls is not None  # noqa: S101 - begun before anything is read; for the type checker
        if data:
            self._tls.bio_write(data)
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return
        _check_name(self._tls.get_peer_certificate(as_cryptography=True), self._call.server_name)
        self._step = self._packets
        expiry = self._call.session_expiry / self.pace
        packet = mqtt5.ConnectPacket(
            self._call.client_id,
            clean_start=not expiry,
            keep_alive=_whole(self._call.keep_alive * (1 if self.pace == 1 else LENIENCY) / self.pace),
            session_expiry_interval=_whole(expiry),
        )
        self._write(packet.write())
        self._packets(b"")

    def _packets(self, data: bytes) -> None:
        """Everything after the handshake."""
        assert self._tls is not None  # noqa: S101 - as above
        self._heard_at = asyncio.get_running_loop().time()
        if data:
            self._tls.bio_write(data)
        while True:
            try:
                self._clear += self._tls.recv(READ_BYTES)
            except SSL.WantReadError:
                self._flush()
                return
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
        self._tls.send(packet)
        self._flush()

    def _flush(self) -> None:
        assert self._tls is not None  # noqa: S101 - as above
        while self._transport is not None:
            try:
                self._transport.write(self._tls.bio_read(READ_BYTES))
            except SSL.WantReadError:
                return

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


@lru_cache(CONTEXTS)
def _context(anchors: bytes, issuers: tuple[bytes, ...]) -> SSL.Context:
    """What all devices with these trust anchors and issuers share."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_PEER)
    context.set_mode(RELEASE_BUFFERS)
    store = context.get_cert_store()
    assert store is not None  # noqa: S101 - a context has one from the beginning; for the type checker
    for anchor in x509.load_pem_x509_certificates(anchors):
        store.add_cert(crypto.X509.from_cryptography(anchor))
    for issuer in issuers:
        context.add_extra_chain_cert(x509.load_pem_x509_certificate(issuer))
    return context


def _identity(files: Credentials) -> tuple[x509.Certificate, SSL.Context]:
    chain = x509.load_pem_x509_certificates(files.chain.read_bytes())
    issuers = tuple(issuer.public_bytes(serialization.Encoding.PEM) for issuer in chain[1:])
    return chain[0], _context(files.trust_anchors.read_bytes(), issuers)


def _check_name(certificate: x509.Certificate | None, server_name: str) -> None:
    """RFC 6125: one of the certificate's names is the server's; a wildcard stands for one label."""
    names: list[str] = []
    if certificate is not None:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]
    wanted = server_name.lower()
    if wanted not in names and f"*.{wanted.partition('.')[2]}" not in names:
        raise ConnectionFailedError(f"{server_name}: its certificate is for {', '.join(names) or 'nobody'}")


def _accepted(topic: str, code: Any, reason: str | None) -> int:
    if int(code) >= FIRST_FAILURE_CODE:
        text = f" ({reason})" if reason else ""
        raise NotAcknowledgedError(f"{topic}: refused: {code.name}{text}")
    return int(code)


def _whole(time: timedelta) -> int:
    return math.ceil(time.total_seconds())


def _text(error: Exception) -> str:
    """OpenSSL's errors are lists of library, function and reason."""
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
        return "TLS failed: " + "; ".join(str(entry[-1]) for entry in error.args[0])
    return str(error)
