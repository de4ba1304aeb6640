"""The journal of plans and the claim to the zone, as items of the route table under keys that are no device ids."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from fleet.errors import RefusedError, UnfinishedError
from fleet.routing.route_item import time_text
from fleet.routing.route_table import BatchEntry, BatchState, PlanEntry, PlanProgress
from protocol.routes import DEVICE_KEY, REVISION_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ZONE_KEY = "#zone"
"""Who may change the zone now."""
_HEADING = 0
"""The sort key of a plan's heading; batch n stands at n + 1."""


class DynamoJournal:
    """The journal's half of `fleet.routing.route_table.RouteTable`."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        """`client`: with retries of its own for what the network and throttling do."""
        self._client = client
        self._name = name

    def read_plan(self, plan: str) -> PlanEntry | None:
        """See `RouteTable.read_plan`."""
        with asking(self._name, "read the journal"):
            answer = self._client.get_item(TableName=self._name, Key=_key(plan, _HEADING), ConsistentRead=True)
        item = answer.get("Item")
        if item is None:
            return None
        return PlanEntry(
            plan=plan,
            progress=PlanProgress(item["progress"]["S"]),
            begun_by=item["begun_by"]["S"],
            begun_at=datetime.fromisoformat(item["begun_at"]["S"]),
            done_at=datetime.fromisoformat(item["done_at"]["S"]) if "done_at" in item else None,
            largest_batch=int(item["largest_batch"]["S"]),
        )

    def write_plan(self, entry: PlanEntry) -> None:
        """See `RouteTable.write_plan`."""
        texts = {"progress": entry.progress.value, "begun_by": entry.begun_by, "begun_at": time_text(entry.begun_at)}
        texts["largest_batch"] = str(entry.largest_batch)
        if entry.done_at is not None:
            texts["done_at"] = time_text(entry.done_at)
        self._put("write the journal", _key(entry.plan, _HEADING), texts)

    def read_batches(self, plan: str) -> dict[int, BatchEntry]:
        """See `RouteTable.read_batches`."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            ConsistentRead=True,
            KeyConditionExpression=f"{DEVICE_KEY} = :plan AND {REVISION_KEY} > :heading",
            ExpressionAttributeValues={":plan": {"S": f"#plan/{plan}"}, ":heading": {"N": str(_HEADING)}},
        )
        with asking(self._name, "read the journal"):
            items = [item for page in pages for item in page["Items"]]
        entries = (
            BatchEntry(
                number=int(item[REVISION_KEY]["N"]) - 1,
                state=BatchState(item["state"]["S"]),
                change_id=item["change_id"]["S"],
            )
            for item in items
        )
        return {entry.number: entry for entry in entries}

    def write_batch(self, plan: str, entry: BatchEntry) -> None:
        """See `RouteTable.write_batch`."""
        texts = {"state": entry.state.value, "change_id": entry.change_id}
        self._put("write the journal", _key(plan, entry.number + 1), texts)

    def claim_zone(self, plan: str, holder: str, *, now: datetime, until: datetime) -> None:
        """See `RouteTable.claim_zone`."""
        key = {DEVICE_KEY: {"S": ZONE_KEY}, REVISION_KEY: {"N": "0"}}
        claim = {"plan": plan, "holder": holder, "until": time_text(until)}
        with asking(self._name, "claim the zone"):
            try:
                self._client.put_item(
                    TableName=self._name,
                    Item=key | {name: {"S": text} for name, text in claim.items()},
                    ConditionExpression=f"attribute_not_exists({DEVICE_KEY}) OR #plan = :plan OR #until < :now",
                    ExpressionAttributeNames={"#plan": "plan", "#until": "until"},
                    ExpressionAttributeValues={":plan": {"S": plan}, ":now": {"S": time_text(now)}},
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                item = self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True).get("Item", {})
            else:
                return
        held = {name: value.get("S", "") for name, value in item.items()}
        raise RefusedError(
            f"the zone is being changed by {held.get('holder')} for plan {held.get('plan', '')[:12]}, until "
            f"{held.get('until')} at the latest; wait for it, or go on with that plan"
        )

    def release_zone(self, plan: str) -> None:
        """See `RouteTable.release_zone`."""
        with asking(self._name, "let go of the zone"):
            try:
                self._client.delete_item(
                    TableName=self._name,
                    Key={DEVICE_KEY: {"S": ZONE_KEY}, REVISION_KEY: {"N": "0"}},
                    ConditionExpression="#plan = :plan",
                    ExpressionAttributeNames={"#plan": "plan"},
                    ExpressionAttributeValues={":plan": {"S": plan}},
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return

    def _put(self, what: str, key: dict[str, Any], texts: dict[str, str]) -> None:
        with asking(self._name, what):
            self._client.put_item(TableName=self._name, Item=key | {name: {"S": text} for name, text in texts.items()})


@contextmanager
def asking(table: str, what: str) -> Iterator[None]:
    """Turn a call that failed into `UnfinishedError`, with what was asked."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise UnfinishedError(
            f"route table {table}: {what}: {error}; check credentials, rights and network, then run this again"
        ) from error


def _key(plan: str, number: int) -> dict[str, Any]:
    return {DEVICE_KEY: {"S": f"#plan/{plan}"}, REVISION_KEY: {"N": str(number)}}
