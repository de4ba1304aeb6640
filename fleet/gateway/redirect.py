"""Sending one device to a gateway and home again, as changes of its route. Pure: a plan applies them.

A gateway's address lies in no residency, and who sits there reads the device's data. So outside the environment whose
data is nobody's, a redirect names who approved it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from fleet.errors import RefusedError
from fleet.routing.plan import Change
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Kind, Route, State
from fleet.routing.target import DEFAULT, Target
from protocol.device_id import DeviceId
from stacks.outputs import Outputs

ENVIRONMENT_OF_NOBODYS_DATA = "dev"
"""Where a redirect needs no approver."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What an engineer asks for."""

    device: DeviceId
    gateway: Target
    """An address."""
    expires: datetime
    owner: str
    reason: str
    is_longer: bool
    """Whether it lengthens or replaces a redirect that stands."""


def redirect(wish: Wish, standing: Route | None, domain: str, *, now: datetime) -> Change:
    """The change that sends the device to its gateway; `RefusedError` says why it may not be made."""
    home, before, revision = DEFAULT, DEFAULT, 0
    if standing is not None:
        _check_standing(wish, standing, now)
        before, revision = standing.target, standing.revision
        home = standing.returns_to if standing.kind is Kind.DEBUG else standing.target
    removes, creates = _records(wish.device, before, domain), _records(wish.device, wish.gateway, domain)
    return Change(
        device=wish.device,
        revision=revision + 1,
        before=before,
        after=wish.gateway,
        removes=removes if removes != creates else (),
        creates=creates if removes != creates else (),
        kind=Kind.DEBUG,
        owner=wish.owner,
        reason=wish.reason,
        expires=wish.expires,
        returns_to=home,
    )


def end(standing: Route | None, device: DeviceId, domain: str, *, by: str) -> Change:
    """The change that sends the device home before its time; `RefusedError` when it is not redirected."""
    if standing is None or standing.kind is not Kind.DEBUG:
        raise RefusedError(f"device {device}: is not redirected; `route show {device}` says where it goes")
    _check_settled(standing)
    removes, creates = _records(device, standing.target, domain), _records(device, standing.returns_to, domain)
    return Change(
        device=device,
        revision=standing.revision + 1,
        before=standing.target,
        after=standing.returns_to,
        removes=removes if removes != creates else (),
        creates=creates if removes != creates else (),
        kind=Kind.MOVE,
        owner=standing.owner,
        reason=f"debug to {standing.target} (revision {standing.revision}) ended early by {by}",
        expires=None,
        returns_to=DEFAULT,
    )


def bridged_cluster(home: Target, asked: str | None, outputs: Outputs) -> str:
    """The cluster the device's data goes on to; `RefusedError` when it cannot be told, or the wish contradicts it."""
    told = home.cluster or (outputs.routing.default.cluster if _is_single(outputs) and home.is_default else None)
    if asked is not None and asked not in outputs.clusters:
        raise RefusedError(f"--cluster: there is no cluster {asked}; it has {', '.join(sorted(outputs.clusters))}")
    if told and asked and told != asked:
        raise RefusedError(f"--cluster: the device belongs to {told}, not to {asked}; move it first, or leave it out")
    chosen = told or asked
    if not chosen:
        raise RefusedError(
            f"the device goes to {home}, which is a choice of several clusters; say with --cluster which one has it"
        )
    return chosen


def check_allowed(device: DeviceId, pins: Collection[str], environment: str, approved_by: str) -> None:
    """Refuse a pinned device, and a redirect that nobody approved."""
    if device in pins:
        raise RefusedError(f"device {device}: is pinned in the stack file, which owns its name; remove the pin first")
    if not approved_by and environment != ENVIRONMENT_OF_NOBODYS_DATA:
        raise RefusedError(
            f"--approved-by: a gateway lies in no residency, and its desk reads what {device} sends; in {environment} "
            f"somebody must answer for that: name them"
        )


def _check_standing(wish: Wish, standing: Route, now: datetime) -> None:
    _check_settled(standing)
    if standing.kind is not Kind.DEBUG:
        if standing.expires is not None:
            raise RefusedError(
                f"device {wish.device}: its way to {standing.target} ends by itself on {standing.expires:%Y-%m-%d}, "
                f"and a redirect would hide that; move it for good first"
            )
        return
    if standing.expires is not None and standing.expires > now and not wish.is_longer:
        raise RefusedError(
            f"device {wish.device}: is redirected to {standing.target} by {standing.owner} until "
            f"{standing.expires:%Y-%m-%d %H:%M} UTC; end that with --end, or add --extend to put this in its place"
        )


def _check_settled(standing: Route) -> None:
    if standing.state is State.PENDING:
        raise RefusedError(
            f"device {standing.device}: plan {standing.plan[:12]} is changing its route; let it end, or apply it again"
        )


def _is_single(outputs: Outputs) -> bool:
    return outputs.routing.default.choose == "single"


def _records(device: DeviceId, target: Target, domain: str) -> tuple[RecordSet, ...]:
    records = project(device, target, domain)
    return () if records is None else (records,)
