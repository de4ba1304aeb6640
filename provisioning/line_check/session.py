"""One MQTT 5 session of the new identity, by the library that devices use, and what the broker lets it do."""

import queue
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from typing import Any

from awscrt import http, io, mqtt5
from awscrt.exceptions import AwsCrtError
from awsiot import mqtt5_client_builder

from protocol.topics import COMMAND_PREFIX, DATA_PREFIX
from provisioning.line_check.outcome import LineCheckError, Question
from provisioning.line_check.papers import Papers
from provisioning.line_check.way import Address

LINE_CHECK_LEAF = "line-check"
"""Under `dt/<device>/`: the device's own, and no rule takes it for a batch."""
SOMEBODY_ELSE = "flotilla-line-check-nobody"
"""A device that nobody is: it may be named, and must not be spoken for."""
CONNECT_SECONDS = 35.0
"""The library takes up to 30 s to give a failed handshake up (measured)."""
ANSWER_SECONDS = 10.0
NEVER_MILLISECONDS = 24 * 60 * 60 * 1000
FIRST_FAILURE_CODE = 0x80
"""Reason codes from here on are refusals (MQTT 5, section 2.4)."""


class NotAdmittedError(Exception):
    """The broker hung up at the CONNECT, or said no: a new identity may be admitted within seconds."""


class Session:
    """An open session; `connect` makes it."""

    def __init__(self, client: Any, ended: "Future[str]", stopped: "Future[str]") -> None:
        self._client, self._ended, self._stopped = client, ended, stopped

    @classmethod
    def connect(cls, server: str, papers: Papers, proxy: Address | None) -> "Session":
        """One CONNECT under the device's name; `NotAdmittedError` says why not."""
        outcome: queue.SimpleQueue[str] = queue.SimpleQueue()
        ended: Future[str] = Future()
        stopped: Future[str] = Future()
        group = io.EventLoopGroup(1)
        client = mqtt5_client_builder.mtls_from_path(
            str(papers.chain_file),
            str(papers.key_file),
            endpoint=server,
            port=papers.bundle.port,
            ca_filepath=str(papers.trust_anchors_file),
            client_id=papers.device,
            client_bootstrap=io.ClientBootstrap(group, io.DefaultHostResolver(group)),
            http_proxy_options=proxy
            and http.HttpProxyOptions(proxy.host, proxy.port, connection_type=http.HttpProxyConnectionType.Tunneling),
            enable_metrics_collection=False,
            offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
            min_reconnect_delay_ms=NEVER_MILLISECONDS,
            max_reconnect_delay_ms=NEVER_MILLISECONDS,
            on_lifecycle_connection_success=lambda _data: outcome.put(""),
            on_lifecycle_connection_failure=lambda data: outcome.put(_why_not(data)),
            on_lifecycle_disconnection=lambda data: _settle(ended, _why_ended(data)),
            on_lifecycle_stopped=lambda _data: _settle(stopped, ""),
        )
        client.start()
        try:
            failure = outcome.get(timeout=CONNECT_SECONDS)
        except queue.Empty:
            failure = f"no answer in {CONNECT_SECONDS:.0f} s"
        if failure:
            client.stop()
            raise NotAdmittedError(failure)
        return cls(client, ended, stopped)

    def publish_own(self, papers: Papers) -> str:
        """The device's own topic is its to publish on."""
        topic = f"{DATA_PREFIX}/{papers.device}/{LINE_CHECK_LEAF}"
        refusal = self._publish(topic)
        if refusal:
            why = f"{topic}: {refusal}; look at the device policy and what the certificate carries: reconcile"
            raise LineCheckError(Question.PUBLISH, why, acts="operator")
        return topic

    def publish_other(self) -> str:
        """Another device's topic is not. AWS IoT answers with a refusal, other brokers hang up: both are right."""
        topic = f"{DATA_PREFIX}/{SOMEBODY_ELSE}/{LINE_CHECK_LEAF}"
        refusal = self._publish(topic)
        if not refusal:
            why = f"it was let publish on {topic}: its policy is too wide; ship nothing, and look at the device policy"
            raise LineCheckError(Question.PUBLISH_OTHER, why, acts="operator")
        return refusal

    def subscribe_other(self) -> str:
        """Nor may it listen to another's commands."""
        topic = f"{COMMAND_PREFIX}/{SOMEBODY_ELSE}/+"
        wanted = mqtt5.Subscription(topic_filter=topic, qos=mqtt5.QoS.AT_LEAST_ONCE)
        try:
            answer = self._client.subscribe(mqtt5.SubscribePacket(subscriptions=[wanted])).result(ANSWER_SECONDS)
        except (AwsCrtError, LateError) as error:
            return self._hung_up(error)
        (code,) = answer.reason_codes
        if int(code) < FIRST_FAILURE_CODE:
            why = (
                f"it was let subscribe to {topic}: its policy is too wide; ship nothing, and look at the device policy"
            )
            raise LineCheckError(Question.SUBSCRIBE_OTHER, why, acts="operator")
        return f"refused with {int(code):#x}"

    def close(self) -> str:
        """Say DISCONNECT, where the session still stands."""
        was_open = not self._ended.done()
        self._client.stop(mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.NORMAL_DISCONNECTION))
        try:
            self._stopped.result(ANSWER_SECONDS)
        except LateError as error:
            why = f"the session did not end in {ANSWER_SECONDS:.0f} s"
            raise LineCheckError(Question.DISCONNECT, why, acts="station") from error
        return "said goodbye" if was_open else "the broker had hung up already"

    def _publish(self, topic: str) -> str:
        """Why the message was refused; empty when it was taken."""
        packet = mqtt5.PublishPacket(topic=topic, payload=b"line check", qos=mqtt5.QoS.AT_LEAST_ONCE)
        try:
            answer = self._client.publish(packet).result(ANSWER_SECONDS).puback
        except (AwsCrtError, LateError) as error:
            return self._hung_up(error)
        return "" if int(answer.reason_code) < FIRST_FAILURE_CODE else f"refused with {int(answer.reason_code):#x}"

    def _hung_up(self, error: Exception) -> str:
        """A session that ended is an answer; one that stands and says nothing is not."""
        try:
            return f"the broker hung up ({self._ended.result(1.0)})"
        except LateError:
            raise LineCheckError(
                Question.CONNECT, f"the broker gave no answer ({error}); try again", acts="station", is_offline=True
            ) from error


def _settle(future: "Future[str]", value: str) -> None:
    if not future.done():
        future.set_result(value)


def _why_not(data: Any) -> str:
    if data.connack_packet is not None:
        return f"CONNACK {int(data.connack_packet.reason_code):#x} {data.connack_packet.reason_code.name}"
    return str(data.exception)


def _why_ended(data: Any) -> str:
    if data.disconnect_packet is not None:
        return str(data.disconnect_packet.reason_code.name)
    return str(data.exception or "closed")
