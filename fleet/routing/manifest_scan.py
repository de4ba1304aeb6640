"""Which devices a cluster's manifest stands by: the fleet, where nobody keeps another list of it."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from fleet.errors import UnfinishedError
from protocol.admission import MANIFEST_DEVICE_INDEX, MANIFEST_DEVICE_KEY, Standing
from protocol.device_id import DeviceId

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_GOOD = {":good": {"S": Standing.GOOD.value}}
_IS_GOOD = "standing = :good"


def listed_devices(client: "DynamoDBClient", table: str) -> Iterator[tuple[str, str]]:
    """Device and model of each certificate in good standing, page by page; a device with two of them comes twice.

    `UnfinishedError` when the table cannot be asked.
    """
    with _asking(table):
        for page in client.get_paginator("scan").paginate(
            TableName=table,
            ProjectionExpression=f"{MANIFEST_DEVICE_KEY}, model",
            FilterExpression=_IS_GOOD,
            ExpressionAttributeValues=_GOOD,
        ):
            yield from map(_listed, page["Items"])


def found_devices(client: "DynamoDBClient", table: str, devices: Collection[DeviceId]) -> Iterator[tuple[str, str]]:
    """The same of some devices, by the index of devices, which is moments behind the table."""
    query = client.get_paginator("query")
    with _asking(table):
        for device in devices:
            for page in query.paginate(
                TableName=table,
                IndexName=MANIFEST_DEVICE_INDEX,
                KeyConditionExpression=f"{MANIFEST_DEVICE_KEY} = :device",
                FilterExpression=_IS_GOOD,
                ExpressionAttributeValues={**_GOOD, ":device": {"S": device}},
            ):
                yield from map(_listed, page["Items"])


def _listed(item: dict[str, Any]) -> tuple[str, str]:
    return item[MANIFEST_DEVICE_KEY]["S"], item["model"]["S"]


@contextmanager
def _asking(table: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise UnfinishedError(f"manifest table {table}: {error}; check credentials, rights and network") from error
    except KeyError as error:
        raise UnfinishedError(f"manifest table {table}: an item lacks {error}; look at it before planning") from error
