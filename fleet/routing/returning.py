"""The changes that move devices back which did not arrive: a small plan of its own, which undoes a part of another.

It is written beside the plan it belongs to, under a name that a rerun finds again: a run that was killed between
writing it down and carrying it out is finished by the next, and nobody is moved back twice.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from fleet.routing.following import RETURNED
from fleet.routing.plan import Change
from fleet.routing.plan_file import Plan, read_plan, write_plan
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
    return write_plan(path, header, return_changes(plan.changes(), reasons, history))


def return_changes(
    changes: Iterator[Change], reasons: Mapping[DeviceId, str], history: Callable[[DeviceId], tuple[Route, ...]]
) -> Iterator[Change]:
    """The changes that undo those of the devices in `reasons`, in the same order."""
    for change in changes:
        if change.device not in reasons:
            continue
        former = next((route for route in history(change.device) if route.revision == change.revision - 1), None)
        yield replace(
            change,
            revision=change.revision + 1,
            before=change.after,
            after=change.before,
            removes=change.creates,
            creates=change.removes,
            kind=former.kind if former else Kind.MOVE,
            reason=RETURNED + reasons[change.device],
            expires=former.expires if former else None,
            returns_to=former.returns_to if former else DEFAULT,
        )


def _path(plan: Plan, number: int) -> Path:
    return plan.path.with_name(f"{plan.path.name}{SUFFIX}{number}")
