"""Amazon SNS."""

import json

from local.appliers.applier import Answer, Applier, Request, gone, settings

_ATTRIBUTES = {
    "deliveryPolicy": "DeliveryPolicy",
    "displayName": "DisplayName",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "policy": "Policy",
    "signatureVersion": "SignatureVersion",
    "tracingConfig": "TracingConfig",
}


def _create_topic(request: Request) -> Answer:
    name = request.physical_name()
    arn = request.client("sns").create_topic(
        Name=name,
        Attributes={api: str(request.inputs[key]) for key, api in _ATTRIBUTES.items() if key in request.inputs},
        **({"Tags": request.tags} if request.tags else {}),
    )["TopicArn"]
    return Answer(arn, {"arn": arn, "name": name, "owner": request.cloud.account})


def _update_topic(request: Request, former: Answer) -> Answer:
    sns = request.client("sns")
    for key, api in _ATTRIBUTES.items():
        if key in request.inputs:
            sns.set_topic_attributes(TopicArn=former.id, AttributeName=api, AttributeValue=str(request.inputs[key]))
    if request.tags:
        sns.tag_resource(ResourceArn=former.id, Tags=request.tags)
    return former


def _delete_topic(request: Request, former: Answer) -> None:
    gone(lambda: request.client("sns").delete_topic(TopicArn=former.id))


def _put_policy(request: Request) -> Answer:
    arn = request.inputs["arn"]
    request.client("sns").set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=request.inputs["policy"]
    )
    return Answer(arn, {"arn": arn, "owner": request.cloud.account})


def _open_to_owner(request: Request, former: Answer) -> None:
    """Leave the topic to its own account, as AWS makes one."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{request.cloud.account}:root"},
        "Action": ["sns:Publish", "sns:Subscribe"],
        "Resource": former.id,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    gone(
        lambda: request.client("sns").set_topic_attributes(
            TopicArn=former.id, AttributeName="Policy", AttributeValue=policy
        )
    )


def _subscribe(request: Request) -> Answer:
    inputs = request.inputs
    attributes = {
        name: str(inputs[key]).lower() if isinstance(inputs[key], bool) else str(inputs[key])
        for key, name in (
            ("filterPolicy", "FilterPolicy"),
            ("rawMessageDelivery", "RawMessageDelivery"),
            ("redrivePolicy", "RedrivePolicy"),
        )
        if key in inputs
    }
    arn = request.client("sns").subscribe(
        TopicArn=inputs["topic"],
        Protocol=inputs["protocol"],
        Endpoint=inputs["endpoint"],
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return Answer(arn, {"arn": arn})


def _unsubscribe(request: Request, former: Answer) -> None:
    gone(lambda: request.client("sns").unsubscribe(SubscriptionArn=former.id))


APPLIERS = {
    "aws:sns/topic:Topic": Applier(_create_topic, _delete_topic, _update_topic),
    "aws:sns/topicPolicy:TopicPolicy": settings(_put_policy, _open_to_owner, fixed=("arn", "region")),
    "aws:sns/topicSubscription:TopicSubscription": Applier(_subscribe, _unsubscribe),
}
