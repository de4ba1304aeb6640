"""A cluster's manifest table: the identities it may admit. Only ever made stricter from here."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from protocol.admission import MANIFEST_KEY, ManifestEntry, Standing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Upload(StrEnum):
    """What telling a manifest about an identity came to."""

    UPLOADED = "uploaded"
    ALREADY_THERE = "already there"
    REVOKED = "revoked"
    DIFFERS = "differs"
    """The table holds something else under this fingerprint, and keeps it: a person must look."""


@dataclass(frozen=True)
class Manifest:
    """The table `table` behind `client`."""

    client: "DynamoDBClient"
    table: str

    def tell(self, entry: ManifestEntry) -> Upload:
        """Make the table hold `entry`. A revoked entry always wins; a good one never replaces anything."""
        if entry.standing is Standing.REVOKED:
            self._put(entry)
            return Upload.REVOKED
        try:
            self._put(entry, condition=f"attribute_not_exists({MANIFEST_KEY})")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return Upload.ALREADY_THERE if self._holds(entry) else Upload.DIFFERS
        return Upload.UPLOADED

    def _put(self, entry: ManifestEntry, *, condition: str | None = None) -> None:
        item = {name: {"S": value} for name, value in entry.to_item().items()}
        if condition is None:
            self.client.put_item(TableName=self.table, Item=item)
        else:
            self.client.put_item(TableName=self.table, Item=item, ConditionExpression=condition)

    def _holds(self, entry: ManifestEntry) -> bool:
        answer = self.client.get_item(
            TableName=self.table, Key={MANIFEST_KEY: {"S": entry.fingerprint}}, ConsistentRead=True
        )
        found = {name: value.get("S") for name, value in answer.get("Item", {}).items()}
        return found == entry.to_item()
