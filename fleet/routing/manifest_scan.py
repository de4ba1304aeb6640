"""Which devices a cluster's manifest stands by, read page by page: the fleet where nobody keeps another list of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from fleet.errors import UnfinishedError
from protocol.admission import Standing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def listed_devices(client: "DynamoDBClient", table: str) -> Iterator[tuple[str, str]]:
    """Device and model of each certificate in good standing; a device with two of them comes twice."""
    pages = client.get_paginator("scan").paginate(
        TableName=table,
        ProjectionExpression="device, model",
        FilterExpression="standing = :good",
        ExpressionAttributeValues={":good": {"S": Standing.GOOD.value}},
    )
    try:
        for page in pages:
            for item in page["Items"]:
                yield item["device"]["S"], item["model"]["S"]
    except (ClientError, BotoCoreError) as error:
        raise UnfinishedError(f"manifest table {table}: {error}; check credentials, rights and network") from error
    except KeyError as error:
        raise UnfinishedError(f"manifest table {table}: an item lacks {error}; look at it before planning") from error
