"""The hosted zone in Route 53: one request a method, made once, and what its answer means."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
)
from botocore.parsers import ResponseParserError

from fleet.errors import UnfinishedError
from fleet.routing.record_set import RecordSet
from fleet.routing.zone import (
    MAX_PAGE_RECORD_SETS,
    Create,
    Delete,
    Page,
    Upsert,
    ZoneChange,
    ZoneRefusedError,
    ZoneReplyLostError,
    ZoneThrottledError,
    ZoneUnknownChangeError,
)

if TYPE_CHECKING:
    from mypy_boto3_route53 import Route53Client

_ACTIONS = {Delete: "DELETE", Create: "CREATE", Upsert: "UPSERT"}
_THROTTLED = frozenset({"Throttling", "ThrottlingException", "PriorRequestNotComplete", "RequestLimitExceeded"})
"""Refused before anything was done (Route 53 API reference, "Common errors")."""
_REFUSED = frozenset({"InvalidChangeBatch"})
_SERVER_ERROR = 500
_ESCAPE = re.compile(r"\\([0-7]{3})")
"""Route 53 writes characters other than letters, digits, `-` and `_` in octal; the wildcard is `\\052`."""
_CHOOSING = ("AliasTarget", "SetIdentifier")


class Route53Zone:
    """See `fleet.routing.zone.Zone`."""

    def __init__(self, client: "Route53Client", zone_id: str) -> None:
        """`client`: with exactly one attempt a call, because a lost reply must not be answered by asking again."""
        self._client = client
        self._zone_id = zone_id

    def change(self, changes: Sequence[ZoneChange]) -> str:
        """See `Zone.change`."""
        wanted: list[Any] = [
            {"Action": _ACTIONS[type(change)], "ResourceRecordSet": _record_set(change.records)} for change in changes
        ]
        with _asking("change the zone"):
            answer = self._client.change_resource_record_sets(
                HostedZoneId=self._zone_id, ChangeBatch={"Changes": wanted}
            )
        return str(_field(_field(answer, "ChangeInfo"), "Id"))

    def is_in_sync(self, change_id: str) -> bool:
        """See `Zone.is_in_sync`."""
        with _asking(f"ask after change {change_id}"):
            answer = self._client.get_change(Id=change_id)
        return str(_field(_field(answer, "ChangeInfo"), "Status")) == "INSYNC"

    def page(self, start_name: str, start_type: str | None = None) -> Page:
        """See `Zone.page`."""
        start: dict[str, Any] = {"StartRecordType": start_type} if start_type else {}
        with _asking("list the zone"):
            answer = self._client.list_resource_record_sets(
                HostedZoneId=self._zone_id, StartRecordName=start_name, MaxItems=str(MAX_PAGE_RECORD_SETS), **start
            )
        entries = _field(answer, "ResourceRecordSets")
        plain = [entry for entry in entries if not any(entry.get(key) for key in _CHOOSING)]
        return Page(
            record_sets=tuple(map(_read, plain)),
            others=tuple((_name(entry["Name"]), str(entry["Type"])) for entry in entries if entry not in plain),
            next_name=_name(answer["NextRecordName"]) if answer.get("IsTruncated") else None,
            next_type=str(answer["NextRecordType"]) if answer.get("IsTruncated") else None,
        )


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Say of a failed request whether anything may have been done."""
    try:
        yield
    except ClientError as error:
        code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        if code in _THROTTLED:
            raise ZoneThrottledError(f"{what}: {code}: {message}") from error
        if code in _REFUSED:
            raise ZoneRefusedError(message) from error
        if code == "NoSuchChange":
            raise ZoneUnknownChangeError(f"{what}: {message}") from error
        if error.response["ResponseMetadata"].get("HTTPStatusCode", _SERVER_ERROR) >= _SERVER_ERROR:
            raise ZoneReplyLostError(f"{what}: {error}") from error
        raise UnfinishedError(
            f"Route 53: {what}: {error}; check credentials and rights, then run this again"
        ) from error
    except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError) as error:
        raise ZoneThrottledError(f"{what}: {error}") from error
    except (HTTPClientError, ResponseParserError) as error:
        raise ZoneReplyLostError(f"{what}: {error}") from error
    except BotoCoreError as error:
        raise UnfinishedError(
            f"Route 53: {what}: {error}; check credentials and network, then run this again"
        ) from error


def _field(answer: Mapping[str, Any], name: str) -> Any:
    """A field that AWS always gives: a broken body parses as an answer without it."""
    if name not in answer:
        raise ZoneReplyLostError(f"an answer without {name}, which cannot be relied on")
    return answer[name]


def _record_set(records: RecordSet) -> dict[str, Any]:
    return {
        "Name": records.name,
        "Type": records.type,
        "TTL": records.ttl,
        "ResourceRecords": [{"Value": value} for value in records.values],
    }


def _read(entry: Mapping[str, Any]) -> RecordSet:
    return RecordSet(
        name=_name(entry["Name"]),
        type=str(entry["Type"]),
        ttl=int(entry.get("TTL", 0)),
        values=tuple(str(record["Value"]) for record in entry.get("ResourceRecords", ())),
    )


def _name(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text).rstrip(".").lower()
