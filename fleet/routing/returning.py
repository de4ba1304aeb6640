"""The changes that move devices back which did not arrive: a small plan of its own, which undoes a part of another.

It is written beside the plan it belongs to, under a name that a rerun finds again: a run that was killed between
writing it down and carrying it out is finished by the next, and nobody is moved back twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from fleet.routing.following import RETURNED
from fleet.routing.plan import Change
from fleet.routing.plan_file import Plan, read_plan, write_plan
from fleet.routing.record_set import project
from fleet.routing.route import Kind, Route
from fleet.routing.target import DEFAULT
from protocol.device_id import DeviceId

SUFFIX = ".back-"


def returns_of(plan: Plan) -> list[Plan]:
    """The plans beside this one that move some of its devices back, in the order they were made."""
    numbered = sorted(
        (int(path.name.removeprefix(plan.path.name + SUFFIX)), path)
        for path in plan.path.parent.iterdir()
        if path.name.startswith(plan.path.name + SUFFIX) and path.name.removeprefix(plan.path.name + SUFFIX).isdecimal()
    )
    found = [read_plan(path) for _, path in numbered]
    return [back for back in found if back.header.undoes == plan.digest]


def write_return(
    plan: Plan,
    reasons: Mapping[DeviceId, str],
    history: Callable[[DeviceId], tuple[Route, ...]],
    *,
    made_by: str,
    now: datetime,
) -> Plan:
    """Write the plan that moves these devices back, each to exactly what it had before."""
    number = 1
    while (path := _path(plan, number)).exists():
        number += 1
    header = replace(
        plan.header,
        made_by=made_by,
        made_at=now,
        request=f"move back {len(reasons)} devices that did not arrive",
        undoes=plan.digest,
    )
    changes = (
        undone(
            change, RETURNED + reasons[change.device], _former(change, history(change.device)), plan.header.domain, now
        )
        for change in plan.changes()
        if change.device in reasons
    )
    return write_plan(path, header, changes)


def undone(change: Change, reason: str, former: Route | None, domain: str, now: datetime) -> Change:
    """The change that undoes another. What has expired meanwhile is not brought back: it goes where that led."""
    back = replace(
        change,
        revision=change.revision + 1,
        before=change.after,
        after=change.before,
        removes=change.creates,
        creates=change.removes,
        kind=former.kind if former else Kind.MOVE,
        reason=reason,
        expires=former.expires if former else None,
        returns_to=former.returns_to if former else DEFAULT,
    )
    if former is None or former.expires is None or former.expires > now:
        return back
    records = project(change.device, former.returns_to, domain)
    return replace(
        back,
        after=former.returns_to,
        creates=(records,) if records else (),
        kind=Kind.MOVE,
        expires=None,
        returns_to=DEFAULT,
    )


def _former(change: Change, history: tuple[Route, ...]) -> Route | None:
    return next((route for route in history if route.revision == change.revision - 1), None)


def _path(plan: Plan, number: int) -> Path:
    return plan.path.with_name(f"{plan.path.name}{SUFFIX}{number}")
