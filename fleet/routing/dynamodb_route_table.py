"""The route table in DynamoDB. Every read is strong but that of the index of expiring routes, which cannot be."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import tenacity
from botocore.exceptions import BotoCoreError

from fleet.errors import UnfinishedError
from fleet.routing.dynamodb_journal import DynamoJournal, asking
from fleet.routing.route import Route, State
from fleet.routing.route_item import LATEST, STANDING, history_item, read_route, standing_item, time_text
from fleet.routing.route_table import MAX_WRITES, TableMovedError
from protocol.device_id import DeviceId
from protocol.routes import DEVICE_KEY, EXPIRES_KEY, EXPIRING, EXPIRING_KEY, EXPIRY_INDEX, REVISION_KEY

MAX_READS = 100
"""Keys in one BatchGetItem (DynamoDB quota)."""
CONFLICT_TRIES = 8
"""Attempts at a transaction that met another one, and at reads DynamoDB put off; with the waits below about 5 s."""
FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 2.0
T = TypeVar("T")
_STATES = list(State)
_PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons of TransactWriteItems that say nothing of the items (DynamoDB API reference)."""


class _PutOffError(BotoCoreError):
    """DynamoDB did not do it now; the same may go through a moment later."""

    fmt = "DynamoDB put it off: {what}"


_patiently = tenacity.retry(
    retry=tenacity.retry_if_exception_type(_PutOffError),
    stop=tenacity.stop_after_attempt(CONFLICT_TRIES),
    wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
    reraise=True,
)


class DynamoRouteTable(DynamoJournal):
    """See `fleet.routing.route_table.RouteTable`; the journal's half stands in `DynamoJournal`."""

    def read(self, devices: Iterable[DeviceId]) -> dict[DeviceId, Route]:
        """See `RouteTable.read`."""
        return self._read((device, STANDING) for device in devices)

    def revisions(self, wanted: Mapping[DeviceId, int]) -> dict[DeviceId, Route]:
        """See `RouteTable.revisions`."""
        return self._read((device, revision) for device, revision in wanted.items() if revision != STANDING)

    def _read(self, keys: Iterable[tuple[DeviceId, int]]) -> dict[DeviceId, Route]:
        found: dict[DeviceId, Route] = {}
        for some in _chunks(keys, MAX_READS):
            with asking(self._name, "read routes"):
                items = self._get_all([_key(device, revision) for device, revision in some])
                found |= {route.device: route for route in map(self._read_route, items)}
        return found

    @_patiently
    def _get(self, keys: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        answer = self._client.batch_get_item(RequestItems={self._name: {"Keys": keys, "ConsistentRead": True}})
        items = answer["Responses"].get(self._name, [])
        put_off: Any = answer.get("UnprocessedKeys", {})
        left = put_off.get(self._name, {}).get("Keys", [])
        if not items and left:
            raise _PutOffError(what="every key of a read")
        return items, list(left)

    def _get_all(self, keys: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        while keys:
            items, keys = self._get(keys)
            yield from items

    def scan(self) -> Iterator[Route]:
        """See `RouteTable.scan`."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._name,
            ConsistentRead=True,
            FilterExpression=f"{REVISION_KEY} = :standing AND attribute_exists({LATEST})",
            ExpressionAttributeValues={":standing": {"N": str(STANDING)}},
        )
        with asking(self._name, "read every route"):
            for page in pages:
                yield from map(self._read_route, page["Items"])

    def history(self, device: DeviceId) -> tuple[Route, ...]:
        """See `RouteTable.history`."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            ConsistentRead=True,
            KeyConditionExpression=f"{DEVICE_KEY} = :device AND {REVISION_KEY} > :standing",
            ExpressionAttributeValues={":device": {"S": device}, ":standing": {"N": str(STANDING)}},
        )
        with asking(self._name, f"read the history of {device}"):
            return tuple(self._read_route(item) for page in pages for item in page["Items"])

    def expired(self, now: datetime) -> Iterator[Route]:
        """See `RouteTable.expired`."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            IndexName=EXPIRY_INDEX,
            KeyConditionExpression=f"{EXPIRING_KEY} = :expiring AND {EXPIRES_KEY} <= :now",
            ExpressionAttributeValues={":expiring": {"S": EXPIRING}, ":now": {"S": time_text(now)}},
        )
        with asking(self._name, "read expired routes"):
            for page in pages:
                yield from map(self._read_route, page["Items"])

    def write(self, routes: Sequence[Route]) -> None:
        """See `RouteTable.write`."""
        if len(routes) > MAX_WRITES:
            raise ValueError(f"{len(routes)} routes in one write; at most {MAX_WRITES}")
        if not routes:
            return
        with asking(self._name, "write routes"):
            if self._transact([each for route in routes for each in _puts(self._name, route)]):
                return
        standing = self.read(route.device for route in routes)
        moved = [route.device for route in routes if not _is_written(route, standing.get(route.device))]
        if moved:
            raise TableMovedError(moved)

    def advance(self, plan: str, devices: Sequence[DeviceId], state: State, *, at: datetime) -> None:
        """See `RouteTable.advance`."""
        for some in _chunks(devices, MAX_WRITES):
            self._advance(plan, some, state, at)

    def _advance(self, plan: str, devices: Sequence[DeviceId], state: State, at: datetime) -> None:
        for _ in range(CONFLICT_TRIES):
            behind = [
                route
                for route in self.read(devices).values()
                if route.plan == plan and _STATES.index(route.state) < _STATES.index(state)
            ]
            if not behind:
                return
            with asking(self._name, "write states"):
                if self._transact([each for route in behind for each in _steps(self._name, route, state, at)]):
                    return
        raise UnfinishedError(f"route table {self._name}: routes change while their state is written; run this again")

    @_patiently
    def _transact(self, items: list[Any]) -> bool:
        """Whether it was done; False when a condition did not hold, and nothing was."""
        try:
            self._client.transact_write_items(TransactItems=items)
        except self._client.exceptions.TransactionCanceledException as error:
            codes = {str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])}
            if "ConditionalCheckFailed" in codes:
                return False
            if codes & _PASSING:
                raise _PutOffError(what=", ".join(sorted(codes - {"None"}))) from error
            raise
        return True

    def _read_route(self, item: dict[str, Any]) -> Route:
        try:
            return read_route(item)
        except (KeyError, TypeError, ValueError) as error:
            raise UnfinishedError(
                f"route table {self._name}: item {item.get(DEVICE_KEY)} {item.get(REVISION_KEY)} is no route "
                f"({error!r}); nobody but `fleet route` may write there"
            ) from error


def _is_written(route: Route, standing: Route | None) -> bool:
    return standing is not None and (standing.revision, standing.plan) == (route.revision, route.plan)


def _puts(table: str, route: Route) -> tuple[Any, Any]:
    """The route as it stands, on top of the revision before it, and a new line of its history."""
    standing: dict[str, Any] = {"TableName": table, "Item": standing_item(route)}
    if route.revision == 1:
        standing["ConditionExpression"] = f"attribute_not_exists({DEVICE_KEY})"
    else:
        standing["ConditionExpression"] = f"{LATEST} = :before"
        standing["ExpressionAttributeValues"] = {":before": {"N": str(route.revision - 1)}}
    history = {
        "TableName": table,
        "Item": history_item(route),
        "ConditionExpression": f"attribute_not_exists({DEVICE_KEY})",
    }
    return {"Put": standing}, {"Put": history}


def _steps(table: str, route: Route, state: State, at: datetime) -> tuple[Any, Any]:
    """The same step in the route as it stands and in its history, if both are still as they were read."""

    def update(revision: int) -> Any:
        return {
            "Update": {
                "TableName": table,
                "Key": _key(route.device, revision),
                "UpdateExpression": "SET #state = :after, state_since = :at",
                "ConditionExpression": "#plan = :plan AND #state = :before",
                "ExpressionAttributeNames": {"#state": "state", "#plan": "plan"},
                "ExpressionAttributeValues": {
                    ":after": {"S": state.value},
                    ":before": {"S": route.state.value},
                    ":at": {"S": time_text(at)},
                    ":plan": {"S": route.plan},
                },
            }
        }

    return update(STANDING), update(route.revision)


def _key(device: str, revision: int) -> dict[str, Any]:
    return {DEVICE_KEY: {"S": device}, REVISION_KEY: {"N": str(revision)}}


def _chunks(wanted: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(wanted)
    while some := list(islice(rest, size)):
        yield some
