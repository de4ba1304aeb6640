"""Amazon SQS."""

from typing import Any

from local.appliers.applier import Answer, Applier, Request, gone, settings

_ATTRIBUTES = {
    "delaySeconds": "DelaySeconds",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "policy": "Policy",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}


def _attributes(request: Request) -> dict[str, str]:
    return {api: _text(request.inputs[key]) for key, api in _ATTRIBUTES.items() if key in request.inputs}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _create_queue(request: Request) -> Answer:
    name = request.physical_name()
    url = request.client("sqs").create_queue(
        QueueName=name, Attributes=_attributes(request), tags=dict(request.inputs.get("tags", {}))
    )["QueueUrl"]
    arn = f"arn:aws:sqs:{request.region}:{request.cloud.account}:{name}"
    return Answer(url, {"arn": arn, "name": name, "url": url})


def _update_queue(request: Request, former: Answer) -> Answer:
    sqs = request.client("sqs")
    sqs.set_queue_attributes(QueueUrl=former.id, Attributes=_attributes(request))
    if request.inputs.get("tags"):
        sqs.tag_queue(QueueUrl=former.id, Tags=dict(request.inputs["tags"]))
    return former


def _delete_queue(request: Request, former: Answer) -> None:
    gone(lambda: request.client("sqs").delete_queue(QueueUrl=former.id))


def _put_policy(request: Request) -> Answer:
    url = request.inputs["queueUrl"]
    request.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": request.inputs["policy"]})
    return Answer(url, {"queueUrl": url})


def _delete_policy(request: Request, former: Answer) -> None:
    gone(lambda: request.client("sqs").set_queue_attributes(QueueUrl=former.id, Attributes={"Policy": ""}))


APPLIERS = {
    "aws:sqs/queue:Queue": Applier(_create_queue, _delete_queue, _update_queue, fixed=("name", "region", "fifoQueue")),
    "aws:sqs/queuePolicy:QueuePolicy": settings(_put_policy, _delete_policy, fixed=("queueUrl", "region")),
}
