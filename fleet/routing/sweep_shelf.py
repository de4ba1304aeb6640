"""Where the plan of a sweep lies while it is carried out, so that any later sweep can finish it from any machine.

A sweep's first write takes its routes out of the index of expiring ones; if it died there, nothing would find them
again. So the plan itself is put down before its first step and taken away after its last.
"""

from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from fleet.errors import UnfinishedError
from fleet.routing.plan_text import TextPlan
from protocol.routes import DEVICE_KEY, REVISION_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHELF_KEY = "#sweep"
"""The item's key in the route table: no device id begins so."""


class SweepShelf(Protocol):
    """Room for one plan. Methods raise `fleet.errors.UnfinishedError` when it cannot be asked."""

    def read(self) -> TextPlan | None:
        """The plan that a sweep began, or was about to."""

    def put(self, plan: TextPlan) -> bool:
        """Put the plan down durably; False, and nothing done, when another lies there."""

    def take_away(self, plan: TextPlan) -> None:
        """Remove this plan if it lies there; harmless when repeated."""


class DynamoSweepShelf:
    """The shelf as one item of the route table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> TextPlan | None:
        """See `SweepShelf.read`."""
        try:
            answer = self._client.get_item(TableName=self._table, Key=_key(), ConsistentRead=True)
        except (ClientError, BotoCoreError) as error:
            raise self._unfinished("read", error) from error
        item = answer.get("Item")
        if item is None:
            return None
        try:
            return TextPlan.read(item["text"]["S"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnfinishedError(
                f"route table {self._table}: the item {SHELF_KEY} holds no plan that can be read ({error}); "
                f"look what `route check` says, then delete that item"
            ) from error

    def put(self, plan: TextPlan) -> bool:
        """See `SweepShelf.put`."""
        item = {**_key(), "plan": {"S": plan.digest}, "text": {"S": plan.text}}
        try:
            self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(#plan) OR #plan = :plan",
                ExpressionAttributeNames={"#plan": "plan"},
                ExpressionAttributeValues={":plan": item["plan"]},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        except (ClientError, BotoCoreError) as error:
            raise self._unfinished("write", error) from error
        return True

    def take_away(self, plan: TextPlan) -> None:
        """See `SweepShelf.take_away`."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=_key(),
                ConditionExpression="attribute_not_exists(#plan) OR #plan = :plan",
                ExpressionAttributeNames={"#plan": "plan"},
                ExpressionAttributeValues={":plan": {"S": plan.digest}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return
        except (ClientError, BotoCoreError) as error:
            raise self._unfinished("write", error) from error

    def _unfinished(self, what: str, error: Exception) -> UnfinishedError:
        return UnfinishedError(f"route table {self._table}: {what} of {SHELF_KEY}: {error}; run the sweep again")


def _key() -> dict[str, dict[str, str]]:
    return {DEVICE_KEY: {"S": SHELF_KEY}, REVISION_KEY: {"N": "0"}}
