"""A batch as it was delivered: what the topic rule says of it, and the batch itself, checked against each other."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocol.columns import Columns
from protocol.telemetry import BatchRefusedError, Envelope, decode_batch_columns

LATEST_RECEIPT = 253_402_300_799_999
"""The last millisecond of the year 9999: what every reader of the lake can say."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One batch."""

    envelope: Envelope
    columns: Columns
    received: int
    """Milliseconds since 1970."""
    certificate: str | None
    """The fingerprint it was sent under, where the rule knew one."""
    digest: str
    """Of the batch's bytes."""


def read_delivery(event: Mapping[str, Any]) -> Delivery:
    """The delivery in a rule's event, sent by the device whose topic it came on; else `BatchRefusedError`."""
    try:
        wire = base64.b64decode(str(event["payload"]), validate=True)
        topic_device, received = event["device"], event["received"]
    except KeyError as error:
        raise BatchRefusedError(f"the event has no {error}; does the rule select payload, device, received?") from error
    except ValueError as error:  # binascii.Error, and one of its own for what is not ASCII
        raise BatchRefusedError(f"the payload is not base64: {error}") from error
    if isinstance(received, bool) or not isinstance(received, int) or not 0 <= received <= LATEST_RECEIPT:
        raise BatchRefusedError("the time of receipt is not milliseconds since 1970")
    envelope, columns = decode_batch_columns(wire)
    if envelope.device != topic_device:
        raise BatchRefusedError(f"a batch of {envelope.device} on the topic of {topic_device}")
    certificate = event.get("certificate")
    return Delivery(
        envelope=envelope,
        columns=columns,
        received=received,
        certificate=certificate if isinstance(certificate, str) else None,
        digest=hashlib.sha256(wire).hexdigest(),
    )


def read_record(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rule's event in a record of the stream; else `BatchRefusedError`."""
    try:
        event = json.loads(base64.b64decode(record["kinesis"]["data"], validate=True))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BatchRefusedError(f"the record is not what the rule puts into the stream: {error}") from error
    if not isinstance(event, dict):
        raise BatchRefusedError("the record is not what the rule puts into the stream: no object")
    return event
