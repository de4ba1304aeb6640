"""A queue, a stream and a function for replay: the queue hides what it hands out, the function is the real one, and
the process can be killed at any call."""

import base64
import json
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, cast

from fleet.lake.replay import Replay
from functions.ingest import ingest
from tests.functions.lake_cloud import SETTINGS, LakeCloud

SENT = 1_795_392_100_000
STREAM = "arn:aws:kinesis:eu-north-1:111122223333:stream/flotilla-dev-batches"


class Killed(BaseException):
    """The process is gone."""


@dataclass
class LakePost:
    lake: LakeCloud = field(default_factory=LakeCloud)
    letters: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    records: list[bytes] = field(default_factory=list)
    calls: int = 0
    dies_at: int | None = None
    fails: bool = False
    shows_again_after: int | None = None
    """After so many answers the time is over for which the letters in them were hidden."""
    answers: int = 0

    def put(self, letter: object) -> None:
        self.letters[f"handle-{len(self.letters)}"] = letter if isinstance(letter, str) else json.dumps(letter)

    def replay(self) -> Replay:
        ours = cast("Any", self)
        return Replay(sqs=ours, functions=ours, kinesis=ours, queue_url="queue", function="flotilla-dev-ingest")

    def wait(self) -> None:
        """The time for which letters are hidden is over."""
        self.hidden.clear()

    def receive_message(self, **request: Any) -> dict[str, Any]:
        self._call()
        visible = [handle for handle in self.letters if handle not in self.hidden][: request["MaxNumberOfMessages"]]
        self.hidden.update(visible)
        self.answers += 1
        if self.answers == self.shows_again_after:
            self.wait()
        attributes = {"SentTimestamp": str(SENT)}
        return {
            "Messages": [
                {"MessageId": f"name-of-{handle}", "Body": self.letters[handle], "ReceiptHandle": handle}
                | {"Attributes": attributes}
                for handle in visible
            ]
        }

    def delete_message(self, **request: Any) -> None:
        self._call()
        del self.letters[request["ReceiptHandle"]]
        self.hidden.discard(request["ReceiptHandle"])

    def change_message_visibility_batch(self, **request: Any) -> None:
        self._call()
        assert len(request["Entries"]) <= 10
        self.hidden -= {entry["ReceiptHandle"] for entry in request["Entries"]}

    def get_shard_iterator(self, **request: Any) -> dict[str, str]:
        return {"ShardIterator": request["StartingSequenceNumber"]}

    def get_records(self, **request: Any) -> dict[str, Any]:
        """Two records a call, and an empty answer before the first, as a stream may give."""
        self._call()
        at = request["ShardIterator"]
        if not at.startswith("then-"):
            return {"Records": [], "NextShardIterator": f"then-{at}", "MillisBehindLatest": 5}
        first = int(at.removeprefix("then-"))
        taken = [(number, data) for number, data in enumerate(self.records) if number >= first][:2]
        return {
            "Records": [{"SequenceNumber": str(number), "Data": data} for number, data in taken],
            "NextShardIterator": f"then-{first + 2}",
            "MillisBehindLatest": 0,
        }

    def invoke(self, **request: Any) -> dict[str, Any]:
        self._call()
        if self.fails:
            return {"FunctionError": "Unhandled", "Payload": BytesIO(b'{"errorMessage": "out of memory"}')}
        said = ingest(json.loads(request["Payload"]), cloud=self.lake.cloud(), settings=SETTINGS)
        self._call()
        return {"Payload": BytesIO(json.dumps(said).encode())}

    def _call(self) -> None:
        self.calls += 1
        if self.calls == self.dies_at:
            raise Killed


def refused(event: dict[str, Any]) -> dict[str, Any]:
    return {"reason": "it was refused then", "event": event}


def failed(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "1.0",
        "timestamp": "2026-11-23T00:01:00.000Z",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "S3 was away", "errorType": "ClientError"},
    }


def undelivered(wire: bytes, device: str = "device1") -> dict[str, Any]:
    return {
        "ruleName": "flotilla_dev_batch",
        "topic": f"dt/{device}/batch",
        "cloudwatchTraceId": "trace",
        "clientId": device,
        "base64OriginalPayload": base64.b64encode(wire).decode(),
        "failures": [{"failedAction": "LambdaAction", "failedResource": "ingest", "errorMessage": "no function"}],
    }


def gathered(first: int, last: int) -> dict[str, Any]:
    return {
        "requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 21},
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "version": "1.0",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000000",
            "startSequenceNumber": str(first),
            "endSequenceNumber": str(last),
            "batchSize": last - first + 1,
            "streamArn": STREAM,
        },
    }
