"""One MQTT 5 connection over mutual TLS, by AWS's own client library: a `Dial` for one device or a few.

The library reconnects by a schedule of its own, whose jitter is applied before the cap and cannot be turned off; so a
client is stopped when its connection ends, and never comes back by itself. It calls back from a thread of its own;
everything that it says is carried over into the event loop here.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from awscrt import http, io, mqtt5
from awscrt.exceptions import AwsCrtError

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
from device.papers import PapersError, check_papers
from device.resolution import HostPort
from protocol.topics import MAX_PAYLOAD_BYTES

CONNECT_TIMEOUT_SECONDS = 60.0
"""The library needs up to 30 s for a failed handshake (measured); twice that means it hangs."""
ACKNOWLEDGE_TIMEOUT_SECONDS = 30
"""A QoS 1 answer later than this counts as lost; mobile networks stall for some seconds."""
CLOSE_TIMEOUT_SECONDS = 5.0
"""How long a DISCONNECT may take to leave; a dead network lets it wait for ever."""
NEVER_RECONNECT_MILLISECONDS = 24 * 60 * 60 * 1000
"""Longer than a stopped client lives: the library must not come back on its own."""

ALPN_PORT, ALPN_PROTOCOL = 443, "x-amzn-mqtt-ca"
"""On the port of HTTPS, AWS IoT tells MQTT by the name it is asked for (AWS IoT Developer Guide, "Device communication
protocols")."""


class Connection:
    """An open connection; made by `AwsDial`."""

    __slots__ = ("_client", "_stopped", "ended", "is_resumed")

    def __init__(
        self, client: Any, ended: "asyncio.Future[Ended]", stopped: "asyncio.Future[None]", *, is_resumed: bool
    ) -> None:
        self._client, self.ended, self._stopped, self.is_resumed = client, ended, stopped, is_resumed

    async def publish(self, topic: str, payload: bytes) -> int:
        """Publish at QoS 1 and wait for PUBACK; its reason code. `NotAcknowledgedError` for codes from 0x80."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise NotAcknowledgedError(f"{topic}: {len(payload)} bytes; the broker takes {MAX_PAYLOAD_BYTES}")
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
        puback = (await _answer(self._client.publish(packet), topic)).puback
        return _accepted(topic, puback.reason_code, puback.reason_string)

    async def subscribe(self, *topic_filters: str) -> None:
        """Subscribe at QoS 1, in one packet; `NotAcknowledgedError` when the broker refuses one of them."""
        wanted = [mqtt5.Subscription(topic_filter=each, qos=mqtt5.QoS.AT_LEAST_ONCE) for each in topic_filters]
        packet = mqtt5.SubscribePacket(subscriptions=wanted)
        suback = await _answer(self._client.subscribe(packet), ", ".join(topic_filters))
        for topic_filter, code in zip(topic_filters, suback.reason_codes, strict=True):
            _accepted(topic_filter, code, suback.reason_string)

    async def close(self) -> None:
        """Say DISCONNECT and release the client. Harmless when repeated."""
        if not self._stopped.done():
            self._client.stop(mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.NORMAL_DISCONNECTION))
            await asyncio.wait([self._stopped], timeout=CLOSE_TIMEOUT_SECONDS)


def fresh_bootstrap() -> Any:
    """A resolver of this connection's own: the library's shared one keeps an address, the old one too, for 30 s."""
    loops = io.EventLoopGroup.get_or_create_static_default()
    return io.ClientBootstrap(loops, io.DefaultHostResolver(loops))


class AwsDial:
    """Opens connections with the AWS client."""

    __slots__ = ("_bootstrap",)

    def __init__(self, bootstrap: Callable[[], Any] = fresh_bootstrap) -> None:
        """`bootstrap`: gives each connection its resolver. Thousands of devices in a process share one instead."""
        self._bootstrap = bootstrap

    async def __call__(self, call: Call, on_message: OnMessage) -> Connection:
        """Connect once; `ConnectionFailedError` says why not.

        The library cannot be told an address apart from the name, so a name the machine cannot resolve needs a proxy.
        """
        heard = _Heard(asyncio.get_running_loop(), on_message)
        try:
            client = self._client(call, heard)
        except (OSError, RuntimeError) as error:  # what the library has for files that it cannot use
            raise ConnectionFailedError(_fault_of(call.credentials) or str(error)) from error
        client.start()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                is_resumed = await heard.connected
        except TimeoutError:
            client.stop()
            where = f"{call.server_name}:{call.port}"
            raise ConnectionFailedError(f"{where}: no answer in {CONNECT_TIMEOUT_SECONDS:.0f} s") from None
        except BaseException:
            client.stop()
            raise
        return Connection(client, heard.ended, heard.stopped, is_resumed=is_resumed)

    def _client(self, call: Call, heard: "_Heard") -> Any:
        expiry = int(call.session_expiry.total_seconds())
        behaviors = mqtt5.ClientSessionBehaviorType
        options = mqtt5.ClientOptions(
            host_name=call.server_name,
            port=call.port,
            tls_ctx=_tls(call),
            bootstrap=self._bootstrap(),
            http_proxy_options=_tunnel(call.proxy),
            connect_options=mqtt5.ConnectPacket(
                client_id=call.client_id,
                keep_alive_interval_sec=int(call.keep_alive.total_seconds()),
                session_expiry_interval_sec=expiry,
            ),
            session_behavior=behaviors.REJOIN_ALWAYS if expiry else behaviors.CLEAN,
            extended_validation_and_flow_control_options=(
                mqtt5.ExtendedValidationAndFlowControlOptions.AWS_IOT_CORE_DEFAULTS
            ),
            disable_metrics=True,
            offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
            min_reconnect_delay_ms=NEVER_RECONNECT_MILLISECONDS,
            max_reconnect_delay_ms=NEVER_RECONNECT_MILLISECONDS,
            ack_timeout_sec=ACKNOWLEDGE_TIMEOUT_SECONDS,
            on_publish_callback_fn=heard.message,
            on_lifecycle_event_connection_success_fn=heard.success,
            on_lifecycle_event_connection_failure_fn=heard.failure,
            on_lifecycle_event_disconnection_fn=heard.disconnection,
            on_lifecycle_event_stopped_fn=heard.stop,
        )
        return mqtt5.Client(client_options=options)


class _Heard:
    """What the library's thread says, carried into the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_message: OnMessage) -> None:
        self._loop, self._on_message = loop, on_message
        self.connected: asyncio.Future[bool] = loop.create_future()
        self.ended: asyncio.Future[Ended] = loop.create_future()
        self.stopped: asyncio.Future[None] = loop.create_future()

    def message(self, data: Any) -> None:
        packet = data.publish_packet
        self._tell(self._on_message, Message(packet.topic, bytes(packet.payload)))

    def success(self, data: Any) -> None:
        self._tell(_settle, self.connected, bool(data.connack_packet.session_present))

    def failure(self, data: Any) -> None:
        self._tell(_fail, self.connected, _failure(data))

    def disconnection(self, data: Any) -> None:
        packet = data.disconnect_packet
        if packet is None:
            ended = Ended(_text(data.exception))
        else:
            dismissed = packet.reason_code is mqtt5.DisconnectReasonCode.ADMINISTRATIVE_ACTION
            ended = Ended(f"the broker disconnected: {packet.reason_code.name}", was_dismissed=dismissed)
        self._tell(_settle, self.ended, ended)

    def stop(self, _data: Any) -> None:
        self._tell(_settle, self.stopped, None)
        self._tell(_settle, self.ended, Ended("this side closed the connection"))

    def _tell(self, call: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)


def _settle(future: "asyncio.Future[Any]", value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _fault_of(files: Credentials) -> str:
    """What is wrong with them; nothing when they are good."""
    try:
        check_papers(files)
    except (PapersError, OSError) as error:
        return str(error)
    return ""


def _tls(call: Call) -> Any:
    """The device's half of the handshake. The SDK's builder has no say in the least version, and takes TLS 1.0."""
    files = call.credentials
    options = io.TlsContextOptions.create_client_with_mtls_from_path(str(files.chain), str(files.key))
    options.override_default_trust_store_from_path(None, str(files.trust_anchors))
    options.min_tls_ver = io.TlsVersion.TLSv1_2
    if call.port == ALPN_PORT:
        options.alpn_list = [ALPN_PROTOCOL]
    return io.ClientTlsContext(options)


def _tunnel(proxy: HostPort | None) -> Any:
    if proxy is None:
        return None
    return http.HttpProxyOptions(proxy.host, proxy.port, connection_type=http.HttpProxyConnectionType.Tunneling)


def _failure(data: Any) -> ConnectionFailedError:
    connack = data.connack_packet
    if connack is not None:
        text = f" ({connack.reason_string})" if connack.reason_string else ""
        return ConnectionFailedError(f"the broker refused: {connack.reason_code.name}{text}")
    return ConnectionFailedError(_text(data.exception))


def _text(error: Exception) -> str:
    return f"{error.name}: {error.message}" if isinstance(error, AwsCrtError) else str(error)


async def _answer(future: "Future[Any]", topic: str) -> Any:
    """What the library answers. Whoever waits may be cancelled; its own future never is, for it would not bear that."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()
    future.add_done_callback(lambda _: None if loop.is_closed() else loop.call_soon_threadsafe(_settle, answered, None))
    try:
        # Not wait_for: Python 3.11's forgets a cancellation that meets the answer.
        async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_SECONDS + 5):
            await answered
        return future.result()
    except TimeoutError as error:
        raise NotAcknowledgedError(f"{topic}: no answer in {ACKNOWLEDGE_TIMEOUT_SECONDS} s") from error
    except Exception as error:  # the library's errors share no base
        raise NotAcknowledgedError(f"{topic}: {_text(error)}") from error


def _accepted(topic: str, code: Any, reason: str | None) -> int:
    if int(code) >= FIRST_FAILURE_CODE:
        text = f" ({reason})" if reason else ""
        raise NotAcknowledgedError(f"{topic}: refused: {code.name}{text}")
    return int(code)
