"""A small plan kept as text, where there is no disk: a scheduled sweep's, in the route table.

JSON lines: the header, then one line a change. The digest is over exactly these bytes, so a plan that is read back is
the plan that was begun, whatever wrote it. Standard library alone: it runs in Lambda.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from fleet.routing.plan import Change, Header
from fleet.routing.record_set import RecordSet
from fleet.routing.route import Kind
from fleet.routing.target import Target
from protocol.device_id import parse_device_id


@dataclass(frozen=True)
class TextPlan:
    """A `fleet.routing.plan.Plan` whose changes are in memory."""

    text: str
    header: Header
    _changes: tuple[Change, ...]

    @classmethod
    def of(cls, header: Header, changes: Sequence[Change]) -> "TextPlan":
        """The plan of these changes; `ValueError` when they are not sorted by device, each once."""
        devices = [change.device for change in changes]
        if devices != sorted(set(devices)):
            raise ValueError("a plan's changes are sorted by device, and no device comes twice")
        lines = [_header_line(header), *(_change_line(change) for change in changes)]
        return cls("\n".join(lines) + "\n", header, tuple(changes))

    @classmethod
    def read(cls, text: str) -> "TextPlan":
        """The plan that `text` was taken from; `ValueError` or `KeyError` when it is none."""
        first, *lines = text.splitlines()
        return cls(text, _header(json.loads(first)), tuple(_change(json.loads(line)) for line in lines))

    @property
    def digest(self) -> str:
        """SHA-256 in hex over the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def count(self) -> int:
        """How many changes."""
        return len(self._changes)

    def changes(self) -> Iterator[Change]:
        """The changes, sorted by device."""
        return iter(self._changes)


def _header_line(header: Header) -> str:
    return _line({field.name: getattr(header, field.name) for field in fields(header)})


def _change_line(change: Change) -> str:
    return _line({field.name: getattr(change, field.name) for field in fields(change)})


def _line(values: dict[str, Any]) -> str:
    return json.dumps({name: _plain(value) for name, value in values.items()}, sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Target():
            return str(value)
        case tuple():
            return [[records.name, records.type, records.ttl, list(records.values)] for records in value]
    return value


def _header(read: dict[str, Any]) -> Header:
    return Header(**{**read, "made_at": datetime.fromisoformat(read["made_at"])})


def _change(read: dict[str, Any]) -> Change:
    return Change(
        **{
            **read,
            "device": parse_device_id(read["device"]),
            "before": Target.parse(read["before"]),
            "after": Target.parse(read["after"]),
            "returns_to": Target.parse(read["returns_to"]),
            "removes": _records(read["removes"]),
            "creates": _records(read["creates"]),
            "kind": Kind(read["kind"]),
            "expires": datetime.fromisoformat(read["expires"]) if read["expires"] else None,
        }
    )


def _records(read: list[list[Any]]) -> tuple[RecordSet, ...]:
    return tuple(RecordSet(name, type_, ttl, tuple(values)) for name, type_, ttl, values in read)
