"""AWS IAM: global on AWS, so on the desk everything is written to every cell, where roles are assumed."""

from typing import Any

from local.appliers.applier import Answer, Applier, Request, gone, settings
from local.appliers.iam_gaps import widened


def _create_role(request: Request) -> Answer:
    name = request.physical_name()
    extra: dict[str, Any] = {}
    if request.inputs.get("description"):
        extra["Description"] = request.inputs["description"]
    if request.inputs.get("maxSessionDuration"):
        extra["MaxSessionDuration"] = request.inputs["maxSessionDuration"]
    if request.inputs.get("permissionsBoundary"):
        extra["PermissionsBoundary"] = request.inputs["permissionsBoundary"]
    if request.tags:
        extra["Tags"] = request.tags
    roles = [
        iam.create_role(
            RoleName=name,
            Path=request.inputs.get("path", "/"),
            AssumeRolePolicyDocument=request.inputs["assumeRolePolicy"],
            **extra,
        )["Role"]
        for iam in request.cloud.everywhere("iam")
    ]
    return Answer(name, {"arn": roles[0]["Arn"], "name": name, "uniqueId": roles[0]["RoleId"]})


def _update_role(request: Request, former: Answer) -> Answer:
    for iam in request.cloud.everywhere("iam"):
        iam.update_assume_role_policy(RoleName=former.id, PolicyDocument=request.inputs["assumeRolePolicy"])
        iam.update_role(RoleName=former.id, Description=request.inputs.get("description", ""))
        if request.tags:
            iam.tag_role(RoleName=former.id, Tags=request.tags)
    return former


def _delete_role(request: Request, former: Answer) -> None:
    for iam in request.cloud.everywhere("iam"):
        gone(lambda iam=iam: iam.delete_role(RoleName=former.id))  # type: ignore[misc] # the loop's own client


def _put_role_policy(request: Request) -> Answer:
    name, role = request.physical_name(), request.inputs["role"]
    policy, gaps = widened(request.inputs["policy"])
    for iam in request.cloud.everywhere("iam"):
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=policy)
    return Answer(f"{role}:{name}", {"name": name, "role": role}, gaps)


def _delete_role_policy(request: Request, former: Answer) -> None:
    role, name = former.outputs["role"], former.outputs["name"]
    for iam in request.cloud.everywhere("iam"):
        gone(lambda iam=iam: iam.delete_role_policy(RoleName=role, PolicyName=name))  # type: ignore[misc] # as above


def _create_policy(request: Request) -> Answer:
    name = request.physical_name()
    tags = {"Tags": request.tags} if request.tags else {}
    policies = [
        iam.create_policy(PolicyName=name, PolicyDocument=request.inputs["policy"], **tags)["Policy"]
        for iam in request.cloud.everywhere("iam")
    ]
    arn = policies[0]["Arn"]
    return Answer(arn, {"arn": arn, "name": name, "policyId": policies[0]["PolicyId"]})


def _delete_policy(request: Request, former: Answer) -> None:
    for iam in request.cloud.everywhere("iam"):
        gone(lambda iam=iam: iam.delete_policy(PolicyArn=former.id))  # type: ignore[misc] # as above


def _attach_policy(request: Request) -> Answer:
    role, arn = request.inputs["role"], request.inputs["policyArn"]
    for iam in request.cloud.everywhere("iam"):
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    return Answer(f"{role}/{arn}", {"role": role, "policyArn": arn})


def _detach_policy(request: Request, former: Answer) -> None:
    role, arn = former.outputs["role"], former.outputs["policyArn"]
    for iam in request.cloud.everywhere("iam"):
        gone(lambda iam=iam: iam.detach_role_policy(RoleName=role, PolicyArn=arn))  # type: ignore[misc] # as above


APPLIERS = {
    "aws:iam/role:Role": Applier(
        _create_role,
        _delete_role,
        _update_role,
        fixed=("name", "path", "maxSessionDuration", "permissionsBoundary"),
    ),
    "aws:iam/rolePolicy:RolePolicy": settings(_put_role_policy, _delete_role_policy, fixed=("name", "role")),
    "aws:iam/policy:Policy": Applier(_create_policy, _delete_policy),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Applier(_attach_policy, _detach_policy),
}
