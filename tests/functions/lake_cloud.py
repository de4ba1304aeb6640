"""A cloud for ingestion that remembers: S3, SQS, CloudWatch and the manifest, one at a time failing on demand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from fleet.lake.reading import place
from functions.ingest import Cloud, Settings
from functions.models import Models

SETTINGS = Settings(lake_bucket="lake", manifest_table="manifest", dead_letter_queue_url="queue", environment="dev")


@dataclass
class LakeCloud:
    """The embedded cloud plays these services in the end-to-end tests; here every call is counted and can fail."""

    models: Mapping[str, str] = field(default_factory=lambda: {"c0ffee": "fl100"})
    objects: dict[str, bytes] = field(default_factory=dict)
    letters: list[str] = field(default_factory=list)
    counted: dict[str, float] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    failing: str | None = None
    failing_after: int = 0
    refusing: bool = False

    def cloud(self) -> Cloud:
        stand_in = cast("Any", self)
        return Cloud(s3=stand_in, sqs=stand_in, cloudwatch=stand_in, models=Models(stand_in, "manifest"))

    def put_object(self, **request: Any) -> None:
        self._may_fail("put_object")
        assert request["IfNoneMatch"] == "*", "nothing in the lake is ever written over"
        if self.refusing:
            raise _refusal("AccessDenied", 403)
        if request["Key"] in self.objects:
            raise _refusal("PreconditionFailed", 412)
        self.objects[request["Key"]] = request["Body"]

    def send_message(self, **request: Any) -> None:
        self._may_fail("send_message")
        self.letters.append(request["MessageBody"])

    def put_metric_data(self, **request: Any) -> None:
        self._may_fail("put_metric_data")
        for datum in request["MetricData"]:
            self.counted[datum["MetricName"]] = self.counted.get(datum["MetricName"], 0) + datum["Value"]

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        self._may_fail("batch_get_item")
        keys = [key["fingerprint"]["S"] for key in request["RequestItems"]["manifest"]["Keys"]]
        self.asked.append(keys)
        items = [{"fingerprint": {"S": key}, "model": {"S": self.models[key]}} for key in keys if key in self.models]
        return {"Responses": {"manifest": items}, "UnprocessedKeys": {}}

    def _may_fail(self, name: str) -> None:
        if name == self.failing:
            if not self.failing_after:
                raise ConnectionError(name)
            self.failing_after -= 1

    def lake(self) -> pa.Table:
        """Everything stored, with its place."""
        return pa.concat_tables([place(pq.read_table(BytesIO(body)), key) for key, body in self.objects.items()])


def _refusal(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutObject")
