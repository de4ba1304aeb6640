"""Amazon EventBridge, which Pulumi keeps under CloudWatch."""

from local.appliers.applier import Answer, Request, gone, settings
from local.appliers.shape import chosen

_RULE = {
    "description": "Description",
    "eventPattern": "EventPattern",
    "scheduleExpression": "ScheduleExpression",
    "roleArn": "RoleArn",
    "state": "State",
}


def _put_rule(request: Request) -> Answer:
    name = request.physical_name()
    bus = request.inputs.get("eventBusName", "default")
    arn = request.client("events").put_rule(
        Name=name,
        EventBusName=bus,
        **chosen(request.inputs, _RULE),
        **({"Tags": request.tags} if request.tags else {}),
    )["RuleArn"]
    return Answer(name, {"arn": arn, "name": name, "eventBusName": bus})


def _delete_rule(request: Request, former: Answer) -> None:
    bus = former.outputs["eventBusName"]
    gone(lambda: request.client("events").delete_rule(Name=former.id, EventBusName=bus))


def _put_target(request: Request) -> Answer:
    rule, bus = request.inputs["rule"], request.inputs.get("eventBusName", "default")
    identifier = request.physical_name("targetId")
    target = {"Id": identifier, "Arn": request.inputs["arn"]}
    target |= chosen(request.inputs, {"input": "Input", "inputPath": "InputPath", "roleArn": "RoleArn"})
    if "deadLetterConfig" in request.inputs:
        target |= chosen(request.inputs, {"deadLetterConfig": "DeadLetterConfig"})
    answer = request.client("events").put_targets(Rule=rule, EventBusName=bus, Targets=[target])
    if answer.get("FailedEntryCount"):
        raise ValueError(f"the target is refused: {answer['FailedEntries']}")
    return Answer(f"{rule}-{identifier}", {"targetId": identifier, "rule": rule, "eventBusName": bus})


def _delete_target(request: Request, former: Answer) -> None:
    rule, bus, identifier = (former.outputs[key] for key in ("rule", "eventBusName", "targetId"))
    gone(lambda: request.client("events").remove_targets(Rule=rule, EventBusName=bus, Ids=[identifier]))


APPLIERS = {
    "aws:cloudwatch/eventRule:EventRule": settings(_put_rule, _delete_rule, fixed=("name", "eventBusName", "region")),
    "aws:cloudwatch/eventTarget:EventTarget": settings(
        _put_target, _delete_target, fixed=("rule", "eventBusName", "targetId", "region")
    ),
}
