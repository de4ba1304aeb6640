"""Amazon DynamoDB."""

import json
from collections.abc import Mapping
from typing import Any

from local.appliers.applier import Answer, Applier, Request, gone, settings
from local.appliers.shape import pascal


def _create_table(request: Request) -> Answer:
    inputs, name, dynamodb = request.inputs, request.physical_name(), request.client("dynamodb")
    extra: dict[str, Any] = {}
    if inputs.get("billingMode", "PROVISIONED") == "PROVISIONED":
        capacity = {"ReadCapacityUnits": inputs["readCapacity"], "WriteCapacityUnits": inputs["writeCapacity"]}
        extra["ProvisionedThroughput"] = capacity
    indexes = [_index(index) for index in inputs.get("globalSecondaryIndexes", [])]
    if indexes:
        extra["GlobalSecondaryIndexes"] = indexes
    if inputs.get("serverSideEncryption", {}).get("enabled"):
        key = inputs["serverSideEncryption"].get("kmsKeyArn")
        extra["SSESpecification"] = {"Enabled": True, "SSEType": "KMS", **({"KMSMasterKeyId": key} if key else {})}
    if inputs.get("streamEnabled"):
        extra["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": inputs["streamViewType"]}
    if request.tags:
        extra["Tags"] = request.tags
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=_attributes(inputs),
        KeySchema=_key_schema(inputs),
        BillingMode=inputs.get("billingMode", "PROVISIONED"),
        DeletionProtectionEnabled=inputs.get("deletionProtectionEnabled", False),
        **extra,
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return _set_upkeep(request, _describe(request, name))


def _attributes(inputs: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"AttributeName": each["name"], "AttributeType": each["type"]} for each in inputs["attributes"]]


def _key_schema(keyed: Any) -> list[dict[str, str]]:
    schema = [{"AttributeName": keyed["hashKey"], "KeyType": "HASH"}]
    if keyed.get("rangeKey"):
        schema.append({"AttributeName": keyed["rangeKey"], "KeyType": "RANGE"})
    return schema


def _index(index: dict[str, Any]) -> dict[str, Any]:
    projection = {"ProjectionType": index["projectionType"]}
    projection |= pascal({"nonKeyAttributes": index["nonKeyAttributes"]}) if index.get("nonKeyAttributes") else {}
    keys = [pascal(key) for key in index.get("keySchemas", [])] or _key_schema(index)
    return {"IndexName": index["name"], "KeySchema": keys, "Projection": projection}


def _describe(request: Request, name: str) -> Answer:
    table = request.client("dynamodb").describe_table(TableName=name)["Table"]
    outputs = {"arn": table["TableArn"], "name": name}
    if "LatestStreamArn" in table:
        outputs |= {"streamArn": table["LatestStreamArn"], "streamLabel": table["LatestStreamLabel"]}
    return Answer(name, outputs)


def _set_upkeep(request: Request, table: Answer) -> Answer:
    """Backups and expiry, which DynamoDB sets apart from the table itself."""
    dynamodb, inputs = request.client("dynamodb"), request.inputs
    recovery = inputs.get("pointInTimeRecovery", {})
    if recovery:
        specification = {"PointInTimeRecoveryEnabled": recovery["enabled"]}
        dynamodb.update_continuous_backups(TableName=table.id, PointInTimeRecoverySpecification=specification)
    if inputs.get("ttl", {}).get("enabled"):
        expiry = {"Enabled": True, "AttributeName": inputs["ttl"]["attributeName"]}
        dynamodb.update_time_to_live(TableName=table.id, TimeToLiveSpecification=expiry)
    return table


def _update_table(request: Request, former: Answer) -> Answer:
    protection = request.inputs.get("deletionProtectionEnabled", False)
    dynamodb = request.client("dynamodb")
    dynamodb.update_table(TableName=former.id, DeletionProtectionEnabled=protection)
    _update_indexes(request, former.id)
    if request.tags:
        dynamodb.tag_resource(ResourceArn=former.outputs["arn"], Tags=request.tags)
    return _set_upkeep(request, former)


def _update_indexes(request: Request, name: str) -> None:
    """Bring a table's indexes to what is asked, and leave its items alone. AWS changes one index a call."""
    dynamodb = request.client("dynamodb")
    table = dynamodb.describe_table(TableName=name)["Table"]
    standing = {index["IndexName"]: _said_of(index) for index in table.get("GlobalSecondaryIndexes", [])}
    wanted = {index["IndexName"]: index for index in map(_index, request.inputs.get("globalSecondaryIndexes", []))}
    stale = [each for each in standing if each not in wanted or standing[each] != _said_of(wanted[each])]
    changes: list[dict[str, Any]] = [{"Delete": {"IndexName": each}} for each in stale]
    changes += [{"Create": wanted[each]} for each in wanted if each in stale or each not in standing]
    for change in changes:
        dynamodb.update_table(
            TableName=name, AttributeDefinitions=_attributes(request.inputs), GlobalSecondaryIndexUpdates=[change]
        )
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def _said_of(index: Mapping[str, Any]) -> tuple[Any, ...]:
    """What an index is asked to be, apart from what DynamoDB says of its state."""
    projection = index["Projection"]
    keys = [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]]
    return keys, projection["ProjectionType"], sorted(projection.get("NonKeyAttributes", []))


def _delete_table(request: Request, former: Answer) -> None:
    gone(lambda: request.client("dynamodb").delete_table(TableName=former.id))


def _put_item(request: Request) -> Answer:
    table, item = request.inputs["tableName"], json.loads(request.inputs["item"])
    request.client("dynamodb").put_item(TableName=table, Item=item)
    keys = [request.inputs[key] for key in ("hashKey", "rangeKey") if request.inputs.get(key)]
    return Answer("|".join([table, *(next(iter(item[key].values())) for key in keys)]), {})


def _delete_item(request: Request, _former: Answer) -> None:
    item = json.loads(request.inputs["item"])
    key = {each: item[each] for each in (request.inputs["hashKey"], request.inputs.get("rangeKey")) if each}
    gone(lambda: request.client("dynamodb").delete_item(TableName=request.inputs["tableName"], Key=key))


APPLIERS = {
    "aws:dynamodb/tableItem:TableItem": settings(
        _put_item, _delete_item, fixed=("tableName", "hashKey", "rangeKey", "region")
    ),
    "aws:dynamodb/table:Table": Applier(
        _create_table,
        _delete_table,
        _update_table,
        fixed=(
            "name",
            "region",
            "hashKey",
            "rangeKey",
            "billingMode",
            "serverSideEncryption",
            "streamEnabled",
            "streamViewType",
        ),
    ),
}
