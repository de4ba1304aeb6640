"""Make the zone say again what the route table says: findings become the changes of an ordinary plan. Pure.

A change removes exactly what was seen and creates exactly what is missing, so a zone that moved meanwhile refuses it.
It is a revision like any other, because who looks at the history of a device must see that its record was not right.
Left alone are names Pulumi owns, records that no tool of ours can make or remove, and devices whose own plan is still
to be finished.
"""

import re
from collections.abc import Sequence
from itertools import chain

from fleet.routing.finding import Finding, Rule
from fleet.routing.holding import Holding
from fleet.routing.inspect import Inspection, is_same
from fleet.routing.plan import Change
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Kind, Route
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import MAX_BATCH_CHARACTERS, MAX_BATCH_RECORDS

REPAIRED_RULES = frozenset({Rule.MISSING, Rule.DRIFT, Rule.ORPHAN, Rule.HIDES, Rule.EXPIRED, Rule.UNFINISHED})

_NOTE = re.compile(r" ?\(repaired: [a-z, ]*\)$")


def repair(holding: Holding, findings: Sequence[Finding], inspection: Inspection, *, owner: str) -> Change | None:
    """The change that mends one name; none when nothing at it is broken, or not for us to mend.

    `findings`: those of the inspection for this holding. `owner`: who answers for a device that had no route so far.
    """
    device, route = holding.device, holding.route
    broken = sorted({finding.rule for finding in findings if finding.rule in REPAIRED_RULES})
    if device is None or device in inspection.places.pins or not broken or holding.foreign:
        return None
    if route is not None and inspection.is_under_way(route):
        return None
    ends = route is None or Rule.EXPIRED in broken
    before = DEFAULT if route is None else route.target
    after = _home(route, inspection) if route is not None and ends else before
    removes, creates = _difference(holding, project(device, after, inspection.places.domain))
    note = f"(repaired: {', '.join(broken)})"
    return Change(
        device=device,
        revision=1 if route is None else route.revision + 1,
        before=before,
        after=after,
        removes=removes,
        creates=creates,
        kind=Kind.MOVE if route is None or ends else route.kind,
        owner=owner if route is None else route.owner,
        reason=note if route is None else f"{_plain(route.reason)} {note}",
        expires=None if route is None or ends else route.expires,
        returns_to=DEFAULT if route is None or ends else route.returns_to,
    )


def _home(route: Route, inspection: Inspection) -> Target:
    """Where an expired route ends; a cluster that is no more would lose the device, so the default takes it."""
    target = route.returns_to
    return target if not target.cluster or target.cluster in inspection.places.clusters else DEFAULT


def _difference(holding: Holding, wanted: RecordSet | None) -> tuple[tuple[RecordSet, ...], tuple[RecordSet, ...]]:
    """What of the zone goes, and what comes.

    Where the wanted record set stands and others go, it goes and comes with them: a change that is in doubt is proven
    by what it creates (`fleet.routing.doubt`).
    """
    right = [records for records in holding.records if wanted is not None and is_same(records, wanted)]
    wrong = [records for records in chain(holding.records, holding.below) if records not in right]
    if right and not wrong:
        return (), ()
    return _fitting((*right, *wrong), wanted), () if wanted is None else (wanted,)


def _fitting(removes: tuple[RecordSet, ...], wanted: RecordSet | None) -> tuple[RecordSet, ...]:
    """As many as one batch takes, those at the name first; the next repair finds the rest."""
    values = [] if wanted is None else list(wanted.values)
    records, characters = len(values), sum(map(len, values))
    fitting = []
    for each in removes:
        records += len(each.values)
        characters += sum(map(len, each.values))
        if records > MAX_BATCH_RECORDS or characters > MAX_BATCH_CHARACTERS:
            break
        fitting.append(each)
    return tuple(fitting)


def _plain(reason: str) -> str:
    """The reason without what an earlier repair noted."""
    return _NOTE.sub("", reason)
