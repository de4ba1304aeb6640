"""Compare what the route table says, what Pulumi owns, and what the hosted zone holds. Pure.

The table is the truth for devices, the outputs are the truth for pins and the wildcard; the zone is measured by both.
A name is judged from its own holding alone, so a fleet is inspected as a stream.

At one name, record sets that lead a device somewhere (A, AAAA, CNAME) are compared as a whole with the one that should
be there: so of *missing*, *drift* and *orphan* a device has at most one. Everything else at its name or below it
*hides* the wildcard for it, now or on the day it has no record of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fleet.routing.finding import Finding, Rule
from fleet.routing.holding import WILDCARD_LABEL, Holding, device_zone
from fleet.routing.places import Places
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Route, State
from fleet.routing.route_table import PlanEntry, PlanProgress
from fleet.routing.target import DEFAULT
from protocol.device_id import DeviceId
from protocol.hostnames import (
    DEVICE_TTL_SECONDS,
    DEVICE_ZONE_LABEL,
    default_hostname,
    device_hostname,
    wildcard_hostname,
)

LEADING_TYPES = frozenset({"A", "AAAA", "CNAME"})
"""Record types a device follows."""
NOTHING = "nothing"

_REPAIR = "run `route check --repair`"
_DEPLOY = "only Pulumi repairs this: run `pulumi refresh`, then `pulumi up`"
_BY_HAND = "no tool of ours makes such a record: find out who did, and remove it in Route 53"


@dataclass
class Inspection:
    """Judges one holding after the other, and remembers the plans it met."""

    places: Places
    now: datetime
    read_plan: Callable[[str], PlanEntry | None]
    """`RouteTable.read_plan`; asked once a plan."""
    _plans: dict[str, PlanEntry | None] = field(default_factory=dict)

    def findings(self, holding: Holding) -> Iterator[Finding]:
        """The broken rules of one name."""
        if holding.label == WILDCARD_LABEL:
            yield from _wildcard_findings(holding, self.places.domain)
        elif holding.label == "":
            yield from _delegation_findings(holding, self.places.domain)
        elif holding.device is None:
            yield from _stray_findings(holding, self.places.domain)
        elif holding.device in self.places.pins:
            yield from _pin_findings(holding, holding.device, self.places)
        else:
            yield from self._device_findings(holding, holding.device)

    def plan_of(self, route: Route) -> PlanEntry | None:
        """The heading of the plan that made a route."""
        if route.plan not in self._plans:
            self._plans[route.plan] = self.read_plan(route.plan)
        return self._plans[route.plan]

    def is_under_way(self, route: Route) -> bool:
        """Whether the zone may hold a route or not, because its plan is still to be finished."""
        entry = self.plan_of(route)
        return route.state is State.PENDING and entry is not None and entry.progress is PlanProgress.BEGUN

    def unfinished_plans(self) -> Iterator[Finding]:
        """Plans that were begun and are not done, of all the routes that were judged."""
        for digest, entry in sorted(self._plans.items()):
            if entry is not None and entry.progress is PlanProgress.BEGUN:
                yield Finding(
                    rule=Rule.UNFINISHED,
                    name=digest,
                    device=None,
                    expected="the plan done",
                    found=f"begun by {entry.begun_by} at {entry.begun_at:%Y-%m-%dT%H:%M:%SZ}, and not done",
                    way_out="it may be running now; if not, run `route apply` with its file again",
                )

    def _device_findings(self, holding: Holding, device: DeviceId) -> Iterator[Finding]:
        route = holding.route
        under_way = False
        if route is not None:
            under_way = self.is_under_way(route)
            yield from _route_findings(route, self.plan_of(route), self.places.domain, self.now)
        if not under_way:
            expected = project(device, route.target if route else DEFAULT, self.places.domain)
            yield from _record_findings(holding, device, expected, self.places.domain)
        yield from _hiding_findings(holding, device, self.places.domain)


def describe(records: Sequence[RecordSet], foreign: Sequence[tuple[str, str]] = (), *, at: str = "") -> str:
    """Record sets in words; the name is left out where it is `at`."""
    texts = [
        f"{'' if each.name == at else f'{each.name} '}{each.type} {' '.join(each.values)} ({each.ttl} s)"
        for each in records
    ]
    texts += [f"{'' if name == at else f'{name} '}{kind} (alias, or one of several)" for name, kind in foreign]
    return ", ".join(texts) or NOTHING


def wildcard_records(domain: str) -> RecordSet:
    """The wildcard as Pulumi makes it."""
    return RecordSet(wildcard_hostname(domain), "CNAME", DEVICE_TTL_SECONDS, (default_hostname(domain),))


def is_same(found: RecordSet, expected: RecordSet) -> bool:
    """Whether two record sets say the same: the order of values, case and the trailing dot of names aside."""
    return (found.name, found.type, found.ttl) == (expected.name, expected.type, expected.ttl) and (
        _folded(found) == _folded(expected)
    )


def _folded(records: RecordSet) -> list[str]:
    if records.type == "CNAME":
        return sorted(value.rstrip(".").lower() for value in records.values)
    return sorted(records.values)


def _leading(holding: Holding, name: str) -> tuple[tuple[RecordSet, ...], tuple[tuple[str, str], ...]]:
    """What leads the device somewhere: plain record sets, and others."""
    return (
        tuple(records for records in holding.records if records.type in LEADING_TYPES),
        tuple(each for each in holding.foreign if each[0] == name and each[1] in LEADING_TYPES),
    )


def _matches(found: Sequence[RecordSet], expected: RecordSet | None) -> bool:
    if expected is None:
        return not found
    return len(found) == 1 and is_same(found[0], expected)


def _route_findings(route: Route, plan: PlanEntry | None, domain: str, now: datetime) -> Iterator[Finding]:
    name = device_hostname(route.device, domain)
    if route.expires is not None and route.expires <= now:
        yield Finding(
            rule=Rule.EXPIRED,
            name=name,
            device=route.device,
            expected=f"{route.returns_to} since {route.expires:%Y-%m-%dT%H:%M:%SZ}",
            found=f"{route.kind} to {route.target}, of {route.owner}",
            way_out=f"run `route sweep`, or {_REPAIR}",
        )
    if route.state is State.PENDING:
        is_begun = plan is not None and plan.progress is PlanProgress.BEGUN
        yield Finding(
            rule=Rule.UNFINISHED,
            name=name,
            device=route.device,
            expected=f"revision {route.revision} at least {State.POINTED}",
            found=f"{State.PENDING}, though its plan is {'begun' if is_begun else 'done' if plan else 'unknown'}",
            way_out="run `route apply` with its plan again" if is_begun else _REPAIR,
        )


def _record_findings(holding: Holding, device: DeviceId, expected: RecordSet | None, domain: str) -> Iterator[Finding]:
    name = device_hostname(device, domain)
    found, foreign = _leading(holding, name)
    if _matches(found, expected) and not foreign:
        return
    rule = Rule.ORPHAN if expected is None else Rule.DRIFT if found or foreign else Rule.MISSING
    yield Finding(
        rule=rule,
        name=name,
        device=device,
        expected=NOTHING if expected is None else describe([expected], at=name),
        found=describe(found, foreign, at=name),
        way_out=_BY_HAND if foreign else _REPAIR,
    )


def _hiding_findings(holding: Holding, device: DeviceId, domain: str) -> Iterator[Finding]:
    """One finding a record set: each is somebody's."""
    name = device_hostname(device, domain)
    plain = [*(each for each in holding.records if each.type not in LEADING_TYPES), *holding.below]
    foreign = [each for each in holding.foreign if each[0] != name or each[1] not in LEADING_TYPES]
    texts = [(describe([each], at=name), _REPAIR) for each in plain]
    texts += [(describe([], [each], at=name), _BY_HAND) for each in foreign]
    for text, way_out in texts:
        yield Finding(
            rule=Rule.HIDES, name=name, device=device, expected="no other record", found=text, way_out=way_out
        )


def _pin_findings(holding: Holding, device: DeviceId, places: Places) -> Iterator[Finding]:
    name = device_hostname(device, places.domain)
    pin = project(device, places.pins[device], places.domain)
    others = [each for each in holding.records if pin is None or not is_same(each, pin)]
    if pin is not None and (others or holding.below or holding.foreign or not holding.records):
        yield Finding(
            rule=Rule.PINNED,
            name=name,
            device=device,
            expected=describe([pin], at=name),
            found=describe([*holding.records, *holding.below], holding.foreign, at=name),
            way_out=_DEPLOY,
        )
    if holding.route is not None and not holding.route.target.is_default:
        yield Finding(
            rule=Rule.PINNED,
            name=name,
            device=device,
            expected=f"the pin alone, to {places.pins[device]}",
            found=f"a route to {holding.route.target} as well, revision {holding.route.revision}",
            way_out="take the pin out of the stack file, or leave the device to it: the pin is what counts now",
        )


def _wildcard_findings(holding: Holding, domain: str) -> Iterator[Finding]:
    expected = wildcard_records(domain)
    if not _matches(holding.records, expected) or holding.foreign or holding.below:
        yield Finding(
            rule=Rule.WILDCARD,
            name=expected.name,
            device=None,
            expected=describe([expected], at=expected.name),
            found=describe([*holding.records, *holding.below], holding.foreign, at=expected.name),
            way_out=_DEPLOY,
        )


def _delegation_findings(holding: Holding, domain: str) -> Iterator[Finding]:
    """Records at `gw.<domain>` itself lead no device anywhere, but a delegation takes all devices away."""
    zone = device_zone(domain)
    delegations = [each for each in holding.records if each.type == "NS"]
    if delegations:
        yield Finding(
            rule=Rule.HIDES,
            name=zone,
            device=None,
            expected="no delegation: every device's name is in this zone",
            found=describe(delegations, at=zone),
            way_out=_BY_HAND,
        )


def _stray_findings(holding: Holding, domain: str) -> Iterator[Finding]:
    """Names that no device can have. Those with an underscore belong to protocols (RFC 8552), and hide nothing."""
    if holding.label.startswith("_"):
        return
    yield Finding(
        rule=Rule.ORPHAN,
        name=f"{holding.label}.{DEVICE_ZONE_LABEL}.{domain}",
        device=None,
        expected=f"{NOTHING}: no device can have that name",
        found=describe([*holding.records, *holding.below], holding.foreign),
        way_out=_BY_HAND,
    )
