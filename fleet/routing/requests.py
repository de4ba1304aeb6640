"""What somebody wants: devices and where they shall go, from a CSV file or from options, checked row by row."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from fleet.routing.csv_file import Problems, read_rows
from fleet.routing.places import Places
from fleet.routing.route import Kind
from fleet.routing.target import InvalidTargetError, Target
from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id

DEVICE, TARGET, KIND, OWNER, REASON = "device", "target", "kind", "owner", "reason"
EXPIRES, RETURNS_TO = "expires", "returns_to"
MAX_TEXT_CHARACTERS = 200
"""Of an owner or a reason: as in a stack file (`stacks.grammar.Text`)."""
_REMEMBERED = 1_024
_TIME_WAY_OUT = "write it such as 2026-12-31T18:00:00Z"

Value = TypeVar("Value")


class WantedRow(NamedTuple):
    """One wanted route, checked but for what only the fleet can tell."""

    device: DeviceId
    line: int
    target: Target
    kind: Kind
    owner: str
    reason: str
    expires: datetime | None
    returns_to: Target | None
    """None: wherever the device belongs now."""


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What rows may leave out. Empty texts are told as missing."""

    kind: Kind = Kind.MOVE
    owner: str
    reason: str
    expires: datetime | None = None


class _WrongError(Exception):
    """What a cell may not hold, and the way out."""

    def __init__(self, rule: str, way_out: str) -> None:
        super().__init__(rule)
        self.rule, self.way_out = rule, way_out


class Requests:
    """Turns texts into wanted rows for one deployment at one time, and tells `problems` of the others."""

    def __init__(self, places: Places, defaults: Defaults, now: datetime, problems: Problems) -> None:
        self._places = places
        self._defaults = defaults
        self._now = now
        self._problems = problems
        self._target: Callable[[str], Target] = lru_cache(_REMEMBERED)(self._read_target)
        self._time: Callable[[str], datetime] = lru_cache(_REMEMBERED)(self._read_time)

    def read(self, path: Path) -> Iterator[WantedRow]:
        """The rows of a file, in its order."""
        required, optional = (DEVICE, TARGET), (KIND, OWNER, REASON, EXPIRES, RETURNS_TO)
        for line, fields in read_rows(path, required=required, optional=optional, problems=self._problems):
            wanted = self.row(line, dict(zip((*required, *optional), fields, strict=True)))
            if wanted is not None:
                yield wanted

    def row(self, line: int, fields: Mapping[str, str]) -> WantedRow | None:
        """The wanted route in these fields, or none, and every one of them that is wrong is told."""
        defaults, before = self._defaults, self._problems.count

        def cell(column: str, read: Callable[[str], Value], left_out: Value | None) -> Value | None:
            text = fields.get(column, "")
            if not text and left_out is not None:
                return left_out
            try:
                return read(text)
            except _WrongError as error:
                self._problems.add(line, column, error.rule, error.way_out)
                return None

        device = cell(DEVICE, self._device, None)
        target = cell(TARGET, self._target, None)
        kind = cell(KIND, _kind, defaults.kind)
        owner = cell(OWNER, _text, defaults.owner or None)
        reason = cell(REASON, _text, defaults.reason or None)
        expires = cell(EXPIRES, self._time, None) if fields.get(EXPIRES) else defaults.expires
        returns_to = cell(RETURNS_TO, self._target, None) if fields.get(RETURNS_TO) else None
        if device is None or target is None or kind is None or owner is None or reason is None:
            return None
        wanted = WantedRow(device, line, target, kind, owner, reason, expires, returns_to)
        self._check_whole(wanted)
        return wanted if self._problems.count == before else None

    def _check_whole(self, wanted: WantedRow) -> None:
        """What no cell says alone."""
        add = self._problems.add
        if wanted.kind is Kind.DEBUG and wanted.expires is None:
            add(wanted.line, EXPIRES, "is empty, and a debug redirect must end", f"give --expires, or {_TIME_WAY_OUT}")
        if wanted.kind is not Kind.DEBUG and wanted.target.address:
            rule = f"{wanted.target} is an address, where a device would ask for its own name as server name"
            add(wanted.line, TARGET, rule, "name a cluster, or make it a debug redirect: `route debug`")
        if wanted.returns_to is not None and wanted.expires is None:
            add(wanted.line, RETURNS_TO, "is given without an expiry", "give both or none")
        if wanted.returns_to is not None and wanted.returns_to.address:
            add(wanted.line, RETURNS_TO, f"{wanted.returns_to} is an address", "name a cluster, or `default`")

    def _device(self, text: str) -> DeviceId:
        try:
            device = parse_device_id(text)
        except InvalidDeviceIdError as error:
            raise _WrongError(str(error), "correct it") from error
        if device in self._places.pins:
            raise _WrongError(f"{device} is pinned, and Pulumi owns its name", "change its pin in the stack file")
        return device

    def _read_target(self, text: str) -> Target:
        try:
            target = Target.parse(text)
        except InvalidTargetError as error:
            raise _WrongError(str(error), "correct it") from error
        if target.cluster and target.cluster not in self._places.clusters:
            known = ", ".join(sorted(self._places.clusters))
            raise _WrongError(f"there is no cluster {target.cluster}", f"name one of {known}, or `default`")
        return target

    def _read_time(self, text: str) -> datetime:
        try:
            time = datetime.fromisoformat(text)
        except ValueError as error:
            raise _WrongError(f"{text!r} is no time", _TIME_WAY_OUT) from error
        if time.tzinfo is None:
            raise _WrongError(f"{text!r} names no time zone", _TIME_WAY_OUT)
        if time <= self._now:
            raise _WrongError(f"{text} is past", "give a time to come")
        return time.astimezone(UTC).replace(microsecond=0)


def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError as error:
        raise _WrongError(f"{text!r} is no kind", f"there are {', '.join(Kind)}") from error


def _text(text: str) -> str:
    if not text.strip():
        raise _WrongError("is empty", "give the column, or the option of that name")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise _WrongError(f"has {len(text)} characters, at most {MAX_TEXT_CHARACTERS} are kept", "shorten it")
    if not text.isprintable():
        raise _WrongError("holds a line break or another control character", "remove it")
    return text
