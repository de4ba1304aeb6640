"""A plan's header and its changes as lines of JSON. What is read is checked field by field; nothing is coerced.

Targets are the texts `Target.parse` takes, times are ISO 8601 with their offset, absent times are null.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, NoReturn, TypeVar

from fleet.routing.plan import PLAN_VERSION, Change, Header
from fleet.routing.record_set import RecordSet
from fleet.routing.route import Kind
from fleet.routing.target import Target
from protocol.device_id import parse_device_id

Value = TypeVar("Value")

_REMEMBERED = 4_096
"""Targets and texts kept parsed: a fleet has a handful of clusters, and a plan a handful of reasons."""


class InvalidLineError(ValueError):
    """A line that is none of a plan's; the message names the field."""


def encode_header(header: Header) -> str:
    """The first line, without its end."""
    return json.dumps(
        {
            "version": header.version,
            "environment": header.environment,
            "domain": header.domain,
            "zone_id": header.zone_id,
            "route_table": header.route_table,
            "clusters": header.clusters,
            "made_by": header.made_by,
            "made_at": header.made_at.isoformat(),
            "request": header.request,
            "approved_by": header.approved_by,
            "undoes": header.undoes,
        }
    )


def encode_change(change: Change) -> str:
    """One change's line, without its end. `InvalidLineError` for a target that would be read back as another."""
    # As `json.dumps` writes it, put together here: a plan may have a million of these.
    expires = "null" if change.expires is None else f'"{change.expires.isoformat()}"'
    before, after, returns_to = map(_target_text, (change.before, change.after, change.returns_to))
    return (
        f'{{"device": {_quoted(change.device)}, "revision": {change.revision}, "before": {before}, "after": {after}, '
        f'"removes": [{_record_texts(change.removes)}], "creates": [{_record_texts(change.creates)}], '
        f'"kind": {_quoted(change.kind)}, "owner": {_quoted(change.owner)}, "reason": {_quoted(change.reason)}, '
        f'"expires": {expires}, "returns_to": {returns_to}}}'
    )


def decode_header(line: bytes) -> Header:
    """The header in the first line; `InvalidLineError`, of another version before anything else."""
    item = _item(line)
    version = item.get("version")
    if version != PLAN_VERSION or isinstance(version, bool):
        raise InvalidLineError(f"version: is {version!r}, and these tools read version {PLAN_VERSION}; plan again")
    _check_fields(item, Header)
    clusters = item["clusters"]
    if not isinstance(clusters, dict) or not all(isinstance(each, str) for each in clusters.values()):
        raise InvalidLineError("clusters: is no mapping of clusters to server names")
    return Header(
        version=PLAN_VERSION,
        environment=_text(item, "environment"),
        domain=_text(item, "domain"),
        zone_id=_text(item, "zone_id"),
        route_table=_text(item, "route_table"),
        clusters=clusters,
        made_by=_text(item, "made_by"),
        made_at=_time(item, "made_at"),
        request=_text(item, "request"),
        approved_by=_text(item, "approved_by"),
        undoes=_text(item, "undoes"),
    )


def decode_change(line: bytes) -> Change:
    """The change in a line; `InvalidLineError`."""
    item = _item(line)
    _check_fields(item, Change)
    revision = item["revision"]
    if type(revision) is not int or revision < 1:
        raise InvalidLineError(f"revision: is {revision!r}, and a change makes revision 1 or a later one")
    return Change(
        device=_parsed(parse_device_id, item, "device"),
        revision=revision,
        before=_parsed(_target, item, "before"),
        after=_parsed(_target, item, "after"),
        removes=_record_sets(item, "removes"),
        creates=_record_sets(item, "creates"),
        kind=_parsed(Kind, item, "kind"),
        owner=_text(item, "owner"),
        reason=_text(item, "reason"),
        expires=None if item["expires"] is None else _time(item, "expires"),
        returns_to=_parsed(_target, item, "returns_to"),
    )


@lru_cache(_REMEMBERED)
def _target(text: str) -> Target:
    target = Target.parse(text)
    if str(target) != text:
        raise ValueError(f"{text!r} is written {str(target)!r}")
    return target


@lru_cache(_REMEMBERED)
def _target_text(target: Target) -> str:
    text = str(target)
    try:
        is_faithful = Target.parse(text) == target
    except ValueError as error:
        raise InvalidLineError(str(error)) from error
    if not is_faithful:
        raise InvalidLineError(f"the target {text!r} would be read back as another")
    return _quoted(text)


def _record_texts(record_sets: tuple[RecordSet, ...]) -> str:
    return ", ".join(
        f'{{"name": {_quoted(records.name)}, "type": {_quoted(records.type)}, "ttl": {records.ttl}, '
        f'"values": [{", ".join(map(_quoted, records.values))}]}}'
        for records in record_sets
    )


def _item(line: bytes) -> dict[str, Any]:
    try:
        item = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidLineError(f"is not JSON ({error})") from error
    if not isinstance(item, dict):
        raise InvalidLineError("is not a JSON object")
    return item


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _check_fields(item: Mapping[str, Any], kind: type[Header | Change | RecordSet]) -> None:
    wanted = kind.__dataclass_fields__.keys()
    if item.keys() != wanted:
        missing, unknown = sorted(wanted - item.keys()), sorted(item.keys() - wanted)
        raise InvalidLineError(f"lacks {missing or 'nothing'} and has {unknown or 'nothing'} beside what it should")


def _text(item: Mapping[str, Any], field: str) -> str:
    value = item[field]
    if not isinstance(value, str):
        raise InvalidLineError(f"{field}: is {value!r}, which is no text")
    return value


def _parsed(parse: Callable[[str], Value], item: Mapping[str, Any], field: str) -> Value:
    try:
        return parse(_text(item, field))
    except InvalidLineError:
        raise
    except ValueError as error:
        raise InvalidLineError(f"{field}: {error}") from error


def _time(item: Mapping[str, Any], field: str) -> datetime:
    time = _parsed(datetime.fromisoformat, item, field)
    if time.tzinfo is None:
        raise InvalidLineError(f"{field}: {time.isoformat()} names no time zone")
    return time.astimezone(UTC)


def _record_sets(item: Mapping[str, Any], field: str) -> tuple[RecordSet, ...]:
    listed = item[field]
    if not isinstance(listed, list):
        raise InvalidLineError(f"{field}: is no list of record sets")
    try:
        return tuple(map(_record_set, listed))
    except InvalidLineError as error:
        raise InvalidLineError(f"{field}: {error}") from error


def _record_set(item: Any) -> RecordSet:
    if not isinstance(item, dict):
        raise InvalidLineError(f"{item!r} is no record set")
    _check_fields(item, RecordSet)
    ttl, values = item["ttl"], item["values"]
    if type(ttl) is not int or ttl < 0:
        raise InvalidLineError(f"the TTL {ttl!r} is no count of seconds")
    if not isinstance(values, list) or not values or not all(isinstance(each, str) for each in values):
        raise InvalidLineError(f"the values {values!r} are no list of texts")
    return RecordSet(_text(item, "name"), _text(item, "type"), ttl, tuple(values))
