"""AWS KMS."""

from typing import Any

from local.appliers.applier import Answer, Applier, Request, gone, settings

SHORTEST_DELETION_DAYS = 7
"""KMS: a key is deleted after 7 to 30 days."""


def _create_key(request: Request) -> Answer:
    inputs, kms = request.inputs, request.client("kms")
    extra: dict[str, Any] = {"Policy": inputs["policy"]} if inputs.get("policy") else {}
    tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in request.tags]
    metadata = kms.create_key(
        Description=inputs.get("description", ""),
        KeySpec=inputs.get("customerMasterKeySpec", "SYMMETRIC_DEFAULT"),
        KeyUsage=inputs.get("keyUsage", "ENCRYPT_DECRYPT"),
        MultiRegion=inputs.get("multiRegion", False),
        **({"Tags": tags} if tags else {}),
        **extra,
    )["KeyMetadata"]
    _rotate(request, metadata["KeyId"])
    return Answer(metadata["KeyId"], {"arn": metadata["Arn"], "keyId": metadata["KeyId"]})


def _rotate(request: Request, key: str) -> None:
    if request.inputs.get("enableKeyRotation"):
        period = request.inputs.get("rotationPeriodInDays")
        request.client("kms").enable_key_rotation(KeyId=key, **({"RotationPeriodInDays": period} if period else {}))


def _update_key(request: Request, former: Answer) -> Answer:
    kms, inputs = request.client("kms"), request.inputs
    kms.update_key_description(KeyId=former.id, Description=inputs.get("description", ""))
    if inputs.get("policy"):
        kms.put_key_policy(KeyId=former.id, PolicyName="default", Policy=inputs["policy"])
    _rotate(request, former.id)
    if request.tags:
        tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in request.tags]
        kms.tag_resource(KeyId=former.id, Tags=tags)
    return former


def _delete_key(request: Request, former: Answer) -> None:
    days = request.inputs.get("deletionWindowInDays", SHORTEST_DELETION_DAYS)
    gone(lambda: request.client("kms").schedule_key_deletion(KeyId=former.id, PendingWindowInDays=days))


def _create_alias(request: Request) -> Answer:
    name, key = request.physical_name(), request.inputs["targetKeyId"]
    request.client("kms").create_alias(AliasName=name, TargetKeyId=key)
    return _alias(request, name)


def _update_alias(request: Request, former: Answer) -> Answer:
    request.client("kms").update_alias(AliasName=former.id, TargetKeyId=request.inputs["targetKeyId"])
    return _alias(request, former.id)


def _alias(request: Request, name: str) -> Answer:
    prefix = f"arn:aws:kms:{request.region}:{request.cloud.account}"
    key = request.inputs["targetKeyId"].rpartition("/")[2]
    return Answer(name, {"arn": f"{prefix}:{name}", "name": name, "targetKeyArn": f"{prefix}:key/{key}"})


def _delete_alias(request: Request, former: Answer) -> None:
    gone(lambda: request.client("kms").delete_alias(AliasName=former.id))


def _put_key_policy(request: Request) -> Answer:
    key = request.inputs["keyId"]
    request.client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=request.inputs["policy"])
    return Answer(key, {"keyId": key})


def _reset_key_policy(request: Request, former: Answer) -> None:
    """Leave the key as AWS makes one without a policy: in the hands of its account."""
    root = f"arn:aws:iam::{request.cloud.account}:root"
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"'
        + root
        + '"},"Action":"kms:*","Resource":"*"}]}'
    )
    gone(lambda: request.client("kms").put_key_policy(KeyId=former.id, PolicyName="default", Policy=policy))


APPLIERS = {
    "aws:kms/key:Key": Applier(
        _create_key,
        _delete_key,
        _update_key,
        fixed=("customerMasterKeySpec", "keyUsage", "multiRegion", "region"),
    ),
    "aws:kms/alias:Alias": Applier(_create_alias, _delete_alias, _update_alias),
    "aws:kms/keyPolicy:KeyPolicy": settings(_put_key_policy, _reset_key_policy, fixed=("keyId", "region")),
}
