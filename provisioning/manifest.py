"""A cluster's manifest table: the identities it may admit. Only ever made stricter from here.

A hundred entries travel in one transaction, each with its own condition. A batch write would be cheaper and takes no
conditions: it could make good again what somebody revoked in the cloud.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from protocol.admission import MANIFEST_DEVICE_INDEX, MANIFEST_DEVICE_KEY, MANIFEST_KEY, ManifestEntry, Standing
from protocol.device_id import DeviceId
from provisioning.errors import CloudError
from provisioning.signed_entry import SignedEntry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_ENTRIES = 100
"""DynamoDB: actions of one transaction, and keys of one BatchGetItem."""
MAX_DEVICES = 50
"""PartiQL for DynamoDB: values of the partition key that one `IN` takes."""
ATTEMPTS = 8
"""Of a transaction that others are in the way of: with the waits below about a minute, after which a person looks."""
LONGEST_WAIT_SECONDS = 16.0

_FAILED_CONDITION = "ConditionalCheckFailed"
_OTHERS_IN_THE_WAY = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons for which DynamoDB cancels a transaction that may be tried again as it is."""


class Upload(StrEnum):
    """What telling a manifest about an identity came to."""

    UPLOADED = "uploaded"
    ALREADY_THERE = "already there"
    REVOKED = "revoked"
    DIFFERS = "differs"
    """The table holds something else under this fingerprint, and keeps it: a person must look."""
    HELD_BACK = "held back"
    """Another identity of the device is good there, which this ledger does not know: a device has one."""


@dataclass(frozen=True)
class Manifest:
    """The table `table` behind `client`."""

    client: "DynamoDBClient"
    table: str

    def tell(self, rows: Sequence[SignedEntry]) -> list[Upload]:
        """Make the table hold at most 100 entries. A revoked entry always wins; a good one never replaces anything.

        All are written or none, so a caller that was cut off tells them again.
        """
        outcome: dict[str, Upload] = {}
        left = list(rows)
        while left:
            refused = self._write(left)
            if not refused:
                outcome |= {row.entry.fingerprint: _written(row.entry) for row in left}
                break
            there = self.read([left[index].entry.fingerprint for index in refused])
            for index in refused:
                entry = left[index].entry
                if (item := there.get(entry.fingerprint)) is not None:
                    outcome[entry.fingerprint] = _compared(item, entry)
            left = [row for row in left if row.entry.fingerprint not in outcome]
        return [outcome[row.entry.fingerprint] for row in rows]

    def replace_signature(self, row: SignedEntry) -> bool:
        """Put the row where the same entry stands with another signature, or none; False when the entry is another."""
        fields = row.entry.to_item()
        names = {f"#{name}": name for name in fields}
        values = {f":{name}": {"S": value} for name, value in fields.items()}
        try:
            self.client.put_item(
                TableName=self.table,
                Item=_item(row),
                ConditionExpression=" AND ".join(f"#{name} = :{name}" for name in fields),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def read(self, fingerprints: Sequence[str]) -> dict[str, Mapping[str, str]]:
        """The items of at most 100 fingerprints, those that are there."""
        found: dict[str, Mapping[str, str]] = {}
        keys: list[Any] = [{MANIFEST_KEY: {"S": fingerprint}} for fingerprint in fingerprints]
        for attempt in _patiently(lambda error: isinstance(error, _PutOffError)):
            with attempt:
                answer: Any = self.client.batch_get_item(
                    RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}}
                )
                if "Responses" not in answer:
                    raise CloudError(f"manifest table {self.table}: the answer holds no items; run this again")
                items = (_plain(item) for item in answer["Responses"].get(self.table, []))
                found |= {item[MANIFEST_KEY]: item for item in items}
                keys = list(answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", []))
                if keys:
                    raise _PutOffError(f"manifest table {self.table}: DynamoDB put {len(keys)} reads off")
        return found

    def of_devices(self, devices: Sequence[DeviceId]) -> Iterator[Mapping[str, str]]:
        """The items of devices, by the index of devices, which is moments behind the table."""
        for first in range(0, len(devices), MAX_DEVICES):
            some = devices[first : first + MAX_DEVICES]
            marks = ", ".join("?" * len(some))
            order: dict[str, Any] = {
                "Statement": f'SELECT * FROM "{self.table}"."{MANIFEST_DEVICE_INDEX}" '  # noqa: S608  # our own names
                f"WHERE {MANIFEST_DEVICE_KEY} IN [{marks}]",
                "Parameters": [{"S": device} for device in some],
            }
            while order:
                answer: Any = self.client.execute_statement(**order)
                if "Items" not in answer:
                    raise CloudError(f"manifest table {self.table}: an answer holds no items; run this again")
                yield from map(_plain, answer["Items"])
                order = {**order, "NextToken": answer["NextToken"]} if "NextToken" in answer else {}

    def scan(self) -> Iterator[Mapping[str, str]]:
        """Every item, page by page, in no order. An answer without items is an error, and not the end."""
        for page in self.client.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True):
            if "Items" not in page:
                raise CloudError(f"manifest table {self.table}: an answer holds no items; run this again")
            yield from map(_plain, page["Items"])

    def _write(self, rows: Sequence[SignedEntry]) -> list[int]:
        """Write all rows, and none if a condition fails: then the answer is which ones' did."""
        actions: list[Any] = [{"Put": {"TableName": self.table, "Item": _item(row), **_condition(row)}} for row in rows]
        for attempt in _patiently(_may_be_tried_again):
            with attempt:
                try:
                    self.client.transact_write_items(TransactItems=actions)
                except self.client.exceptions.TransactionCanceledException as error:
                    reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                    failed = [index for index, reason in enumerate(reasons) if reason == _FAILED_CONDITION]
                    if not failed:
                        raise
                    return failed
        return []


class _PutOffError(CloudError):
    """DynamoDB did a part and asks for patience with the rest."""


def _patiently(is_worth_it: Any) -> Retrying:
    return Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.2, max=LONGEST_WAIT_SECONDS),
        retry=retry_if_exception(is_worth_it),
        reraise=True,
    )


def _may_be_tried_again(error: BaseException) -> bool:
    if not isinstance(error, ClientError) or error.response["Error"]["Code"] != "TransactionCanceledException":
        return False
    reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])} - {"None", None}
    return bool(reasons) and reasons <= _OTHERS_IN_THE_WAY


def _written(entry: ManifestEntry) -> Upload:
    return Upload.REVOKED if entry.standing is Standing.REVOKED else Upload.UPLOADED


def _compared(item: Mapping[str, str], entry: ManifestEntry) -> Upload:
    """Whether an item that is there says what the entry says, whoever signed it."""
    wanted = entry.to_item()
    return Upload.ALREADY_THERE if {**item, **wanted} == item else Upload.DIFFERS


def _condition(row: SignedEntry) -> dict[str, str]:
    if row.entry.standing is Standing.REVOKED:
        return {}
    return {"ConditionExpression": f"attribute_not_exists({MANIFEST_KEY})"}


def _item(row: SignedEntry) -> dict[str, Any]:
    return {name: {"S": value} for name, value in row.to_item().items()}


def _plain(item: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value.get("S", "")) for name, value in item.items()}
