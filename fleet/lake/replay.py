"""Brings dead letters of ingestion back: looks first, sends again, and removes only what was stored.

Harmless when repeated, and when killed anywhere: storing a batch twice changes nothing, and a letter is removed after
its batch was stored, never before. Letters being worked on are hidden from others for some minutes; after a kill they
come back by themselves.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from fleet.lake.letters import InStream, Kind, Letter, read_letter, why_still_refused

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient

HIDDEN_SECONDS = 900
"""How long a letter is out of sight while it is looked at or sent. In a queue that takes longer the first ones come
again meanwhile; they are hidden anew, and passed over."""
AT_ONCE = 10  # SQS, ReceiveMessage
WAIT_SECONDS = 1
"""A long poll asks every server of the queue, so that an empty answer means an empty queue (SQS, "Long polling")."""
SENT_BYTES = 4 * 1024 * 1024
"""How much of a stream goes to the function at once; Lambda takes 6 MB."""
RECORDS_AT_ONCE = 1000

Outcome = Literal["would be stored", "would be fetched", "stored", "left"]


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What became of one letter, or would. `why`: of what is left."""

    kind: Kind
    reason: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class _Message:
    letter: Letter
    name: str
    """The queue's, the same whenever it hands the letter out."""


class _Held(dict[str, str]):
    """Letters that this run has, and has not removed: by name, the handle that the queue gave last."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """One cluster's dead letters, and the function that takes batches there."""

    sqs: "SQSClient"
    functions: "LambdaClient"
    kinesis: "KinesisClient"
    queue_url: str
    function: str

    def look(self) -> Iterator[Replayed]:
        """What every letter says, and what sending it again would do. Changes nothing."""
        held = _Held()
        try:
            for message in self._receive(held):
                yield _foreseen(message.letter)
        finally:
            self._show_again(held)

    def send(self) -> Iterator[Replayed]:
        """Every letter sent again; the ones whose batches were stored are removed."""
        # Until it is stored, it is held: whatever is raised meanwhile, the letter comes back into sight.
        held = _Held()
        try:
            for message in self._receive(held):
                done = self._again(message.letter)
                if done.outcome == "stored":
                    self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=held[message.name])
                    del held[message.name]
                yield done
        finally:
            self._show_again(held)

    def _receive(self, held: _Held) -> Iterator[_Message]:
        """Every letter once, until the queue has none, or all that are held came again and no other."""
        came_again = 0
        while came_again <= len(held):
            answer = self.sqs.receive_message(
                QueueUrl=self.queue_url,
                MaxNumberOfMessages=AT_ONCE,
                VisibilityTimeout=HIDDEN_SECONDS,
                WaitTimeSeconds=WAIT_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            messages = answer.get("Messages", [])
            if not messages:
                return
            fresh = [message for message in messages if message["MessageId"] not in held]
            came_again = 0 if fresh else came_again + len(messages)
            held.update({message["MessageId"]: message["ReceiptHandle"] for message in messages})
            for message in fresh:
                sent = int(message["Attributes"]["SentTimestamp"])
                letter = read_letter(message["Body"], sent_milliseconds=sent)
                yield _Message(letter=letter, name=message["MessageId"])

    def _show_again(self, held: _Held) -> None:
        handles = list(held.values())
        for start in range(0, len(handles), AT_ONCE):
            self.sqs.change_message_visibility_batch(
                QueueUrl=self.queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for number, handle in enumerate(handles[start : start + AT_ONCE])
                ],
            )

    def _again(self, letter: Letter) -> Replayed:
        if letter.records is not None:
            return self._again_from_stream(letter, letter.records)
        if letter.event is None:
            return Replayed(kind=letter.kind, reason=letter.reason, outcome="left", why="nothing in it to send")
        return _done(letter, self._invoke({**letter.event, "replay": True}))

    def _again_from_stream(self, letter: Letter, records: InStream) -> Replayed:
        """All records of the letter. What ingestion refuses of them becomes letters of their own, so this one goes."""
        sent = 0
        for part in _parts(self._fetch(records)):
            why = self._invoke({"Records": part})
            if why is not None and not why.refused:
                return _done(letter, why)
            sent += len(part)
        if not sent:
            return Replayed(
                kind=letter.kind, reason=letter.reason, outcome="left", why="the stream holds its records no longer"
            )
        return _done(letter, None)

    def _fetch(self, records: InStream) -> Iterator[dict[str, Any]]:
        """The records from first to last, in the shape Lambda gives a function."""
        iterator: str | None = self.kinesis.get_shard_iterator(
            StreamARN=records.stream_arn,
            ShardId=records.shard,
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=records.first,
        )["ShardIterator"]
        while iterator:
            answer = self.kinesis.get_records(
                StreamARN=records.stream_arn, ShardIterator=iterator, Limit=RECORDS_AT_ONCE
            )
            for record in answer["Records"]:
                if int(record["SequenceNumber"]) > int(records.last):
                    return
                yield {"kinesis": {"data": base64.b64encode(record["Data"]).decode()}}
            if not answer["Records"] and not answer.get("MillisBehindLatest"):
                return
            iterator = answer.get("NextShardIterator")

    def _invoke(self, event: Mapping[str, Any]) -> "_NotStored | None":
        """None if the function stored what the event holds; else why not."""
        answer = self.functions.invoke(FunctionName=self.function, Payload=json.dumps(event).encode())
        said = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            return _NotStored(f"the function failed: {said.get('errorMessage', said)}", refused=False)
        if said["outcome"] == "stored":
            return None
        return _NotStored("; ".join(dict.fromkeys(said["reasons"])), refused=True)


@dataclass(frozen=True)
class _NotStored:
    why: str
    refused: bool
    """Whether the batch is at fault, and not the cloud."""


def _foreseen(letter: Letter) -> Replayed:
    known = Replayed(kind=letter.kind, reason=letter.reason, outcome="left")
    if letter.records is not None:
        return replace(known, outcome="would be fetched")
    if letter.event is None or "Records" in letter.event:
        return replace(known, why="nothing in it to send" if letter.event is None else "no event of the rule")
    why = why_still_refused(letter.event)
    return replace(known, why=why) if why else replace(known, outcome="would be stored")


def _done(letter: Letter, not_stored: _NotStored | None) -> Replayed:
    known = Replayed(kind=letter.kind, reason=letter.reason, outcome="stored")
    return known if not_stored is None else replace(known, outcome="left", why=not_stored.why)


def _parts(records: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Records in groups small enough for one invocation."""
    part: list[dict[str, Any]] = []
    size = 0
    for record in records:
        length = len(record["kinesis"]["data"])
        if part and size + length > SENT_BYTES:
            yield part
            part, size = [], 0
        part.append(record)
        size += length
    if part:
        yield part
