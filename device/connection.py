"""One MQTT 5 connection over mutual TLS, by AWS's own client library.

The library reconnects by a schedule of its own, whose jitter is applied before the cap and cannot be turned off; so a
`Connection` lives once: when it ends it says why, and `device.agent` decides when there is a next one. Nothing is
queued inside: what is not acknowledged has failed, and stays with the caller.
"""

import queue
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awscrt import http, io, mqtt5
from awscrt.exceptions import AwsCrtError
from awsiot import mqtt5_client_builder

from device.resolution import HostPort
from protocol.topics import MAX_PAYLOAD_BYTES
from protocol.traffic import KEEP_ALIVE

CONNECT_TIMEOUT_SECONDS = 60.0
"""The library needs up to 30 s for a failed handshake (measured); twice that means it hangs."""
ACKNOWLEDGE_TIMEOUT_SECONDS = 30
"""A QoS 1 answer later than this counts as lost; mobile networks stall for some seconds."""
NEVER_RECONNECT_MILLISECONDS = 24 * 60 * 60 * 1000
"""Longer than a stopped client lives: the library must not come back on its own."""
NO_MATCHING_SUBSCRIBERS = 0x10
"""PUBACK: accepted, but nobody listens (MQTT 5, section 3.4.2.1); counted, and not a delivery."""
FIRST_FAILURE_CODE = 0x80
"""Reason codes from here on are failures (MQTT 5, section 2.4)."""


class ConnectionFailedError(Exception):
    """The broker was not reached, or did not let this identity in; the message is the library's or CONNACK's."""


class NotAcknowledgedError(Exception):
    """A publish or subscribe was refused, or its answer never came; the connection may be gone."""


@dataclass(frozen=True)
class Credentials:
    """The files that prove who is who. `key` is read by the TLS library only."""

    chain: Path
    key: Path
    trust_anchors: Path


@dataclass(frozen=True)
class Message:
    """A message that came down."""

    topic: str
    payload: bytes


class Connection:
    """An open session; made by `connect`."""

    def __init__(self, client: Any, ended: "Future[str]") -> None:
        self._client = client
        self._ended = ended

    def publish(self, topic: str, payload: bytes) -> int:
        """Publish at QoS 1 and wait for PUBACK; its reason code. `NotAcknowledgedError` for codes from 0x80."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise NotAcknowledgedError(f"{topic}: {len(payload)} bytes; the broker takes {MAX_PAYLOAD_BYTES}")
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
        puback = _await(self._client.publish(packet), topic).puback
        return _accepted(topic, puback.reason_code, puback.reason_string)

    def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1; messages reach the `on_message` that `connect` was given."""
        wanted = mqtt5.Subscription(topic_filter=topic_filter, qos=mqtt5.QoS.AT_LEAST_ONCE)
        suback = _await(self._client.subscribe(mqtt5.SubscribePacket(subscriptions=[wanted])), topic_filter)
        for code in suback.reason_codes:
            _accepted(topic_filter, code, suback.reason_string)

    @property
    def is_open(self) -> bool:
        """Whether the session still stands, as far as this side knows."""
        return not self._ended.done()

    @property
    def was_dismissed(self) -> bool:
        """Whether the broker's administrator sent this device away (MQTT 5, section 3.14.2.1); the broker is up."""
        return self._ended.done() and mqtt5.DisconnectReasonCode.ADMINISTRATIVE_ACTION.name in self._ended.result()

    def wait_ended(self, timeout_seconds: float) -> str | None:
        """Why the session ended; nothing if it still stands after the time."""
        try:
            return self._ended.result(timeout_seconds)
        except FutureTimeoutError:
            return None

    def close(self) -> None:
        """Say DISCONNECT and release the client. Harmless when repeated."""
        self._client.stop(mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.NORMAL_DISCONNECTION))


def connect(
    server_name: str,
    port: int,
    credentials: Credentials,
    *,
    client_id: str,
    proxy: HostPort | None = None,
    on_message: Callable[[Message], None] | None = None,
) -> Connection:
    """Connect once, to the name that is also the TLS server name; `ConnectionFailedError` says why not.

    The library can neither be told an address apart from the name, so a name the machine cannot resolve needs a proxy.
    """
    outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    ended: Future[str] = Future()
    client = mqtt5_client_builder.mtls_from_path(
        str(credentials.chain),
        str(credentials.key),
        endpoint=server_name,
        port=port,
        ca_filepath=str(credentials.trust_anchors),
        client_id=client_id,
        client_bootstrap=_fresh_bootstrap(),
        keep_alive_interval_sec=int(KEEP_ALIVE.total_seconds()),
        http_proxy_options=_tunnel(proxy),
        enable_metrics_collection=False,
        offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
        min_reconnect_delay_ms=NEVER_RECONNECT_MILLISECONDS,
        max_reconnect_delay_ms=NEVER_RECONNECT_MILLISECONDS,
        ack_timeout_sec=ACKNOWLEDGE_TIMEOUT_SECONDS,
        on_publish_received=lambda data: on_message and on_message(_message(data.publish_packet)),
        on_lifecycle_connection_success=lambda _data: outcome.put(None),
        on_lifecycle_connection_failure=lambda data: outcome.put(_failure(data)),
        on_lifecycle_disconnection=lambda data: _end(ended, data),
    )
    client.start()
    try:
        failure = outcome.get(timeout=CONNECT_TIMEOUT_SECONDS)
    except queue.Empty:
        failure = ConnectionFailedError(f"{server_name}:{port}: no answer in {CONNECT_TIMEOUT_SECONDS:.0f} s")
    if failure is not None:
        client.stop()
        raise failure
    return Connection(client, ended)


def _fresh_bootstrap() -> Any:
    """A resolver of this connection's own: the library's shared one keeps an address, the old one too, for 30 s."""
    loops = io.EventLoopGroup.get_or_create_static_default()
    return io.ClientBootstrap(loops, io.DefaultHostResolver(loops))


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


def _end(ended: "Future[str]", data: Any) -> None:
    packet = data.disconnect_packet
    reason = f"the broker disconnected: {packet.reason_code.name}" if packet else _text(data.exception)
    if not ended.done():
        ended.set_result(reason)


def _text(error: Exception) -> str:
    return f"{error.name}: {error.message}" if isinstance(error, AwsCrtError) else str(error)


def _message(packet: Any) -> Message:
    return Message(packet.topic, bytes(packet.payload))


def _await(future: "Future[Any]", topic: str) -> Any:
    try:
        return future.result(ACKNOWLEDGE_TIMEOUT_SECONDS + 5)
    except FutureTimeoutError as error:
        raise NotAcknowledgedError(f"{topic}: no answer in {ACKNOWLEDGE_TIMEOUT_SECONDS} s") from error
    except Exception as error:  # the library's errors share no base
        raise NotAcknowledgedError(f"{topic}: {_text(error)}") from error


def _accepted(topic: str, code: Any, reason: str | None) -> int:
    if int(code) >= FIRST_FAILURE_CODE:
        text = f" ({reason})" if reason else ""
        raise NotAcknowledgedError(f"{topic}: refused: {code.name}{text}")
    return int(code)
