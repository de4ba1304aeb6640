"""Amazon Kinesis Data Streams."""

from typing import Any

from local.appliers.applier import Answer, Applier, Request, attempt, gone

POLL_SECONDS, POLLS = 1, 60
"""How long a stream may take to become active."""


def _create_stream(request: Request) -> Answer:
    name, inputs, kinesis = request.physical_name(), request.inputs, request.client("kinesis")
    mode = inputs.get("streamModeDetails", {}).get("streamMode", "PROVISIONED")
    size: dict[str, Any] = {"ShardCount": int(inputs["shardCount"])} if mode == "PROVISIONED" else {}
    kinesis.create_stream(
        StreamName=name,
        StreamModeDetails={"StreamMode": mode},
        Tags={str(key): str(value) for key, value in inputs.get("tags", {}).items()},
        **size,
    )
    kinesis.get_waiter("stream_exists").wait(
        StreamName=name, WaiterConfig={"Delay": POLL_SECONDS, "MaxAttempts": POLLS}
    )
    hours = int(inputs.get("retentionPeriod", 24))
    if hours > kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["RetentionPeriodHours"]:
        kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=hours)
    gaps: tuple[str, ...] = ()
    if inputs.get("encryptionType", "NONE") != "NONE":
        gaps = attempt(
            "the stream is not encrypted",
            lambda: kinesis.start_stream_encryption(
                StreamName=name, EncryptionType=inputs["encryptionType"], KeyId=inputs["kmsKeyId"]
            ),
        )
    arn = f"arn:aws:kinesis:{request.region}:{request.cloud.account}:stream/{name}"
    return Answer(arn, {"arn": arn, "name": name}, gaps)


def _delete_stream(request: Request, former: Answer) -> None:
    name = former.outputs["name"]
    gone(lambda: request.client("kinesis").delete_stream(StreamName=name, EnforceConsumerDeletion=True))


APPLIERS = {"aws:kinesis/stream:Stream": Applier(_create_stream, _delete_stream)}
