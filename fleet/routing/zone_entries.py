"""Every record set of a hosted zone, of whatever kind, as Route 53 lists them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import tenacity
from botocore.exceptions import BotoCoreError, ClientError

from fleet.errors import UnfinishedError
from fleet.routing.pace import Pace
from fleet.routing.zone_entry import ZoneEntry, read_entry
from fleet.routing.zone_writer import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, TRIES

if TYPE_CHECKING:
    from mypy_boto3_route53 import Route53Client


def zone_entries(
    client: "Route53Client", zone_id: str, pace: Pace, *, sleep: Callable[[float], None]
) -> Iterator[ZoneEntry]:
    """The record sets, page by page at Route 53's pace. `UnfinishedError` when it cannot be asked."""
    trying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
        sleep=sleep,
        reraise=True,
    )
    start: dict[str, Any] | None = {}
    while start is not None:
        try:
            answer = trying(_page, client, zone_id, start, pace)
        except (ClientError, BotoCoreError) as error:
            raise UnfinishedError(
                f"Route 53: list zone {zone_id}: {error}; check credentials, rights and network, then run this again"
            ) from error
        yield from map(read_entry, answer["ResourceRecordSets"])
        start = _following(answer)


def _page(client: "Route53Client", zone_id: str, start: dict[str, Any], pace: Pace) -> Any:
    pace.turn()
    return client.list_resource_record_sets(HostedZoneId=zone_id, **start)


def _following(answer: Any) -> dict[str, Any] | None:
    if not answer.get("IsTruncated"):
        return None
    keys = {
        "StartRecordName": "NextRecordName",
        "StartRecordType": "NextRecordType",
        "StartRecordIdentifier": "NextRecordIdentifier",
    }
    return {start: answer[following] for start, following in keys.items() if answer.get(following)}


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may be answered later: a page that is read twice does no harm."""
    if not isinstance(error, ClientError):
        return isinstance(error, BotoCoreError)
    code = error.response["Error"].get("Code", "")
    return code.startswith("Throttling") or error.response["ResponseMetadata"].get("HTTPStatusCode", 500) >= 500
