"""Dead letters of ingestion, as they lie in the queue: four kinds, each with the batch it is about and the reason.

- `refused`, by the ingest function: what came is no batch;
- `failed`, by Lambda: the function failed every time it was tried (AWS Lambda Developer Guide, "Retaining records of
  asynchronous invocations");
- `undelivered`, by a topic rule's error action: function or stream did not take the batch (AWS IoT Developer Guide,
  "Error handling (error action)");
- `gathered`, by Lambda: the function failed on these records of the stream every time, and the letter only says where
  they are (AWS Lambda Developer Guide, "Retain discarded batches of Kinesis Data Streams events").
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from protocol.telemetry import BatchRefusedError, decode_batch_columns
from protocol.topics import BATCH_LEAF, DATA_PREFIX

Kind = Literal["refused", "failed", "undelivered", "gathered", "unknown"]


@dataclass(frozen=True, kw_only=True)
class InStream:
    """Records of a stream, from the first to the last."""

    stream_arn: str
    shard: str
    first: str
    last: str


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One dead letter. `event` is what the ingest function takes; None where it must be fetched, or cannot be told."""

    kind: Kind
    reason: str
    event: Mapping[str, Any] | None = None
    records: InStream | None = None


def read_letter(body: str, *, sent_milliseconds: int) -> Letter:
    """The letter in a message's body. `sent_milliseconds`: when it came to the queue, where no receipt is known."""
    try:
        said = json.loads(body)
        if "KinesisBatchInfo" in said:
            return _gathered(said)
        if "requestPayload" in said:
            return _failed(said)
        if "base64OriginalPayload" in said:
            return _undelivered(said, sent_milliseconds)
        event = said["event"]
        return Letter(kind="refused", reason=str(said["reason"]), event=_as_taken(event))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        return Letter(kind="unknown", reason=f"no dead letter of ingestion: {type(error).__name__}: {error}")


def _as_taken(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record of the stream that holds no event was taken among records, and is so again."""
    return {"Records": [event]} if "kinesis" in event else dict(event)


def _failed(said: Mapping[str, Any]) -> Letter:
    response = said.get("responsePayload")
    cause = response.get("errorMessage") if isinstance(response, dict) else None
    return Letter(
        kind="failed", reason=str(cause or said["requestContext"]["condition"]), event=dict(said["requestPayload"])
    )


def _undelivered(said: Mapping[str, Any], sent_milliseconds: int) -> Letter:
    prefix, device, leaf = said["topic"].split("/")
    if (prefix, leaf) != (DATA_PREFIX, BATCH_LEAF):
        raise ValueError(f"topic {said['topic']} is none of batches")
    failures = said.get("failures") or [{}]
    event = {"payload": said["base64OriginalPayload"], "device": device, "received": sent_milliseconds}
    return Letter(kind="undelivered", reason=str(failures[0].get("errorMessage", "no reason given")), event=event)


def _gathered(said: Mapping[str, Any]) -> Letter:
    where = said["KinesisBatchInfo"]
    return Letter(
        kind="gathered",
        reason=str(said["requestContext"]["condition"]),
        records=InStream(
            stream_arn=where["streamArn"],
            shard=where["shardId"],
            first=where["startSequenceNumber"],
            last=where["endSequenceNumber"],
        ),
    )


def why_still_refused(event: Mapping[str, Any]) -> str | None:
    """Why ingestion would refuse the event today, as far as the batch alone says; None where it would be stored."""
    try:
        wire = base64.b64decode(str(event["payload"]), validate=True)
        envelope, _ = decode_batch_columns(wire)
    except (KeyError, ValueError) as error:
        return f"no payload: {error}"
    except BatchRefusedError as error:
        return str(error)
    if envelope.device != event.get("device"):
        return f"a batch of {envelope.device} on the topic of {event.get('device')}"
    return None
