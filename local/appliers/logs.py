"""Amazon CloudWatch Logs."""

from local.appliers.applier import Answer, Applier, Request, gone, settings


def _create_group(request: Request) -> Answer:
    name = request.physical_name()
    key = {"kmsKeyId": request.inputs["kmsKeyId"]} if request.inputs.get("kmsKeyId") else {}
    tags = {"tags": dict(request.inputs["tags"])} if request.inputs.get("tags") else {}
    request.client("logs").create_log_group(logGroupName=name, **key, **tags)
    return _keep_for(request, Answer(name, {"arn": _arn(request, name), "name": name}))


def _keep_for(request: Request, group: Answer) -> Answer:
    """Set how long the group keeps its events; 0 or none is for ever."""
    days = request.inputs.get("retentionInDays")
    if days:
        request.client("logs").put_retention_policy(logGroupName=group.id, retentionInDays=days)
    else:
        gone(lambda: request.client("logs").delete_retention_policy(logGroupName=group.id))
    if request.inputs.get("tags"):
        request.client("logs").tag_resource(resourceArn=group.outputs["arn"], tags=dict(request.inputs["tags"]))
    return group


def _delete_group(request: Request, former: Answer) -> None:
    gone(lambda: request.client("logs").delete_log_group(logGroupName=former.id))


def _arn(request: Request, name: str) -> str:
    return f"arn:aws:logs:{request.region}:{request.cloud.account}:log-group:{name}"


def _put_resource_policy(request: Request) -> Answer:
    name = request.physical_name("policyName")
    request.client("logs").put_resource_policy(policyName=name, policyDocument=request.inputs["policyDocument"])
    return Answer(name, {"policyName": name})


def _delete_resource_policy(request: Request, former: Answer) -> None:
    gone(lambda: request.client("logs").delete_resource_policy(policyName=former.id))


APPLIERS = {
    "aws:cloudwatch/logGroup:LogGroup": Applier(
        _create_group, _delete_group, _keep_for, fixed=("name", "region", "kmsKeyId", "logGroupClass")
    ),
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": settings(
        _put_resource_policy, _delete_resource_policy, fixed=("policyName", "region")
    ),
}
