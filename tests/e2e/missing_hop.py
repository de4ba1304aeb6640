"""The one hop of the stream's way that the embedded cloud does not have: a rule's action `kinesis`.

It stores such an action and never runs it. Here a rule of the test's own, with the deployed rule's very SQL, puts the
same records into a queue; the test carries them into the stream. All else is as deployed.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.world import PATIENCE_SECONDS, World

RULE = "flotilla_test_carried"
WAIT_SECONDS = 1


class MissingHop:
    """Carries what devices publish in one cluster into its stream."""

    def __init__(self, world: World, cluster: str) -> None:
        self._sqs, self._kinesis = world.client("sqs", cluster), world.client("kinesis", cluster)
        self._iot = world.client("iot", cluster)
        deployed = self._iot.get_topic_rule(ruleName=f"flotilla_{world.stack}_batch")["rule"]
        (action,) = deployed["actions"]
        self._stream = action["kinesis"]["streamName"]
        assert action["kinesis"]["partitionKey"] == "${topic(2)}", "the device's name keeps its batches in order"
        self._queue = self._sqs.create_queue(QueueName=RULE)["QueueUrl"]
        role = deployed["errorAction"]["sqs"]["roleArn"]
        payload: dict[str, Any] = {
            "sql": deployed["sql"],
            "awsIotSqlVersion": deployed["awsIotSqlVersion"],
            "actions": [{"sqs": {"queueUrl": self._queue, "roleArn": role, "useBase64": False}}],
        }
        self._iot.create_topic_rule(ruleName=RULE, topicRulePayload=payload)

    def carry(self, batches: int) -> None:
        """Bring so many batches over, as they come."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while batches:
            assert time.monotonic() < deadline, f"{batches} batches never came to the rule"
            for message in self._sqs.receive_message(QueueUrl=self._queue, WaitTimeSeconds=WAIT_SECONDS).get(
                "Messages", []
            ):
                record = message["Body"].encode()
                self._kinesis.put_record(
                    StreamName=self._stream, Data=record, PartitionKey=json.loads(record)["device"]
                )
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                batches -= 1

    def remove(self) -> None:
        """Leave the cluster as it was deployed."""
        self._iot.delete_topic_rule(ruleName=RULE)
        self._sqs.delete_queue(QueueUrl=self._queue)


@contextmanager
def missing_hop(world: World, cluster: str) -> Iterator[MissingHop]:
    """A carrier that is gone afterwards."""
    hop = MissingHop(world, cluster)
    try:
        yield hop
    finally:
        hop.remove()
