"""A route as an item of the route table: strings and numbers by name, as DynamoDB writes them.

One revision makes two items: the route as it stands, under revision 0, and the line of its history.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fleet.routing.route import Kind, Route, State
from fleet.routing.target import Target
from protocol.device_id import parse_device_id
from protocol.routes import DEVICE_KEY, EXPIRES_KEY, EXPIRING, EXPIRING_KEY, REVISION_KEY

STANDING = 0
"""The sort key of a route as it stands."""
LATEST = "latest"
"""In the item of a route as it stands: its revision."""

APPROVED_BY = "approved_by"
"""Only in the items of plans that somebody approved."""


def standing_item(route: Route) -> dict[str, Any]:
    """The route as it stands. Only this item shows in the index of expiring routes."""
    item = _item(route, STANDING) | {LATEST: {"N": str(route.revision)}}
    if route.expires is not None:
        item[EXPIRING_KEY] = {"S": EXPIRING}
    return item


def history_item(route: Route) -> dict[str, Any]:
    """The line of the history."""
    return _item(route, route.revision)


def read_route(item: Mapping[str, Any]) -> Route:
    """The route in either item; `KeyError` or `ValueError` when it is none."""
    return Route(
        device=parse_device_id(item[DEVICE_KEY]["S"]),
        revision=int(item.get(LATEST, item[REVISION_KEY])["N"]),
        target=Target.parse(item["target"]["S"]),
        kind=Kind(item["kind"]["S"]),
        owner=item["owner"]["S"],
        reason=item["reason"]["S"],
        expires=_time(item, EXPIRES_KEY),
        returns_to=Target.parse(item["returns_to"]["S"]),
        state=State(item["state"]["S"]),
        state_since=_time(item, "state_since"),
        changed_by=item["changed_by"]["S"],
        changed_at=datetime.fromisoformat(item["changed_at"]["S"]),
        plan=item["plan"]["S"],
        approved_by=item[APPROVED_BY]["S"] if APPROVED_BY in item else "",
    )


def time_text(moment: datetime) -> str:
    """A time of which the order of texts is the order of times: UTC, always six decimals."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _item(route: Route, revision: int) -> dict[str, Any]:
    texts = {
        DEVICE_KEY: route.device,
        "target": str(route.target),
        "kind": route.kind.value,
        "owner": route.owner,
        "reason": route.reason,
        "returns_to": str(route.returns_to),
        "state": route.state.value,
        "changed_by": route.changed_by,
        "changed_at": time_text(route.changed_at),
        "plan": route.plan,
    }
    if route.approved_by:
        texts[APPROVED_BY] = route.approved_by
    for name, moment in ((EXPIRES_KEY, route.expires), ("state_since", route.state_since)):
        if moment is not None:
            texts[name] = time_text(moment)
    return {REVISION_KEY: {"N": str(revision)}} | {name: {"S": text} for name, text in texts.items()}


def _time(item: Mapping[str, Any], name: str) -> datetime | None:
    return datetime.fromisoformat(item[name]["S"]) if name in item else None
