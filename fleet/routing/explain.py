"""Why a device goes where it goes, as a chain that ends at the server name it will verify. Pure.

What should be is told from the table, the pins and the deployment; what is, from the zone and a resolver. The two
stand beside each other, because the difference is what an operator looks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fleet.routing.answer import Answer, zone_answer
from fleet.routing.finding import Finding
from fleet.routing.holding import Holding
from fleet.routing.inspect import LEADING_TYPES, Inspection, describe
from fleet.routing.record_set import project
from fleet.routing.route import Route
from fleet.routing.target import DEFAULT, Target
from protocol.device_id import DeviceId
from protocol.hostnames import (
    DEVICE_TTL_SECONDS,
    cluster_hostname,
    default_hostname,
    device_hostname,
    server_name,
    wildcard_hostname,
)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster as the deployment made it."""

    kind: str
    region: str
    residency: str
    data_endpoint: str


@dataclass(frozen=True, kw_only=True)
class DefaultChoice:
    """Where the wildcard leads: one cluster, or one of several by who asks."""

    choose: str
    """`single`, `latency` or `geolocation`."""
    by_place: Mapping[str, str]
    """What the choice goes by (`any`, a region, a continent's code, `elsewhere`), to the cluster."""


class Listing(StrEnum):
    """What a cluster's manifest says of a device."""

    YES = "lists it"
    NO = "does not list it"
    UNKNOWN = "cannot be asked"


@dataclass(frozen=True, kw_only=True)
class Link:
    """One step of the chain: a name, and why it leads on."""

    name: str
    why: tuple[str, ...]
    next: tuple["Link", ...] = ()
    """Where it leads; several where the answer depends on who asks."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All that is known of where one device goes."""

    device: DeviceId
    target: Target
    """Where it should go."""
    chain: Link
    server_names: tuple[str, ...]
    """What it verifies at the end; several where the default depends on who asks."""
    zone: str
    """What the zone holds at its name."""
    hiding: str
    """What else stands at its name or below, which hides the wildcard; empty when nothing does."""
    answers: Mapping[str, Answer]
    """What the resolver says, by record type; empty when none was asked."""
    verdict: str
    """Whether that agrees, in words."""
    findings: tuple[Finding, ...]
    manifests: Mapping[str, Listing]
    """Whether each cluster's manifest stands by the device: routes are for any id, and a slip in one looks well."""

    @property
    def is_listed_nowhere(self) -> bool:
        """Whether every manifest was asked, and none has it."""
        return set(self.manifests.values()) == {Listing.NO}


def explain(
    holding: Holding,
    wildcard: Holding,
    inspection: Inspection,
    *,
    clusters: Mapping[str, Cluster],
    default: DefaultChoice,
    answers: Mapping[str, Answer],
    manifests: Mapping[str, Listing],
) -> Explanation:
    """Tell about the device of `holding`.

    `wildcard`: the holding of the wildcard's label. `answers`: to `answer.questions` of the holding, if a
    resolver was asked.
    """
    device, domain = holding.device, inspection.places.domain
    if device is None:
        raise ValueError(f"{holding.label!r} is no device id")
    pin = inspection.places.pins.get(device)
    target = pin or (holding.route.target if holding.route else DEFAULT)
    name = device_hostname(device, domain)
    leads = _target_links(device, target, clusters, default, domain)
    why = _pin_reasons(pin) if pin else _route_reasons(holding.route, inspection) if holding.route else _NO_ROUTE
    at_name = [each for each in holding.records if each.type in LEADING_TYPES]
    hiding = [*(each for each in holding.records if each.type not in LEADING_TYPES), *holding.below]
    if target.is_default and hiding and not at_name:
        why = (*why, _HIDDEN)
    return Explanation(
        device=device,
        target=target,
        chain=Link(name=name, why=why, next=leads),
        server_names=tuple(dict.fromkeys(_server_names(device, target, default, domain))),
        zone=describe(at_name, holding.foreign, at=name),
        hiding=describe(hiding, at=name) if hiding else "",
        answers=answers,
        verdict=_verdict(holding, wildcard, answers, inspection.now),
        findings=tuple(inspection.findings(holding)),
        manifests=manifests,
    )


def revision_line(route: Route, project_domain: str) -> dict[str, str]:
    """One revision of a history, as a row: what, who, when, why, and its record."""
    records = project(route.device, route.target, project_domain)
    return {
        "revision": str(route.revision),
        "changed": _time(route.changed_at),
        "by": route.changed_by,
        "kind": str(route.kind),
        "target": str(route.target),
        "expires": _time(route.expires) if route.expires else "",
        "state": str(route.state),
        "owner": route.owner,
        "reason": route.reason,
        "approved by": route.approved_by,
        "plan": route.plan[:12],
        "record": describe([records], at=records.name) if records else "",
    }


_NO_ROUTE = ("it has no pin and no route: the wildcard is to answer for it",)
_HIDDEN = "BUT the wildcard is HIDDEN for it by another record: it is told that there is no data, and connects nowhere"


def _pin_reasons(pin: Target) -> tuple[str, ...]:
    return (f"pinned to {pin} in the stack file, where its owner, reason and expiry stand", "only Pulumi changes it")


def _route_reasons(route: Route, inspection: Inspection) -> tuple[str, ...]:
    """By whom, when and why, in the order one asks."""
    entry = inspection.plan_of(route)
    plan = f"{route.plan[:12]}, {entry.progress if entry else 'which nobody began'}"
    said = [
        f"{route.kind} to {route.target}, revision {route.revision}: {route.reason or 'no reason given'}",
        f"changed by {route.changed_by} at {_time(route.changed_at)}, owner {route.owner}, plan {plan}",
        f"state: {route.state}" + (f" since {_time(route.state_since)}" if route.state_since else ""),
    ]
    if route.approved_by:
        said.append(f"approved by {route.approved_by}: its plan sends data out of its residency")
    if route.expires is not None:
        over = "EXPIRED" if route.expires <= inspection.now else "expires"
        said.append(f"{over} at {_time(route.expires)}, then returns to {route.returns_to}")
    if route.target.is_default:
        said.append("no record of its own: the wildcard is to answer for it")
    return tuple(said)


def _target_links(
    device: DeviceId, target: Target, clusters: Mapping[str, Cluster], default: DefaultChoice, domain: str
) -> tuple[Link, ...]:
    if target.cluster:
        return (_cluster_link(target.cluster, clusters, domain),)
    if target.address:
        return (
            Link(
                name=target.address, why=("an address outside the clusters", _verified(device_hostname(device, domain)))
            ),
        )
    choices = tuple(_choice_link(place, cluster, clusters, domain) for place, cluster in default.by_place.items())
    chooses = {"single": "one cluster for every device"}.get(default.choose, f"chosen by {default.choose} of who asks")
    return (
        Link(
            name=wildcard_hostname(domain),
            why=("serves every device without a record of its own",),
            next=(Link(name=default_hostname(domain), why=(chooses,), next=choices),),
        ),
    )


def _choice_link(place: str, cluster: str, clusters: Mapping[str, Cluster], domain: str) -> Link:
    link = _cluster_link(cluster, clusters, domain)
    return link if place == "any" else Link(name=link.name, why=(f"for {place}", *link.why), next=link.next)


def _cluster_link(label: str, clusters: Mapping[str, Cluster], domain: str) -> Link:
    name = cluster_hostname(label, domain)
    cluster = clusters.get(label)
    if cluster is None:
        return Link(name=name, why=(f"NO SUCH CLUSTER in this deployment: {', '.join(sorted(clusters))}",))
    endpoint = Link(name=cluster.data_endpoint, why=(_verified(name),))
    return Link(
        name=name, why=(f"{cluster.kind} in {cluster.region}, residency {cluster.residency}",), next=(endpoint,)
    )


def _server_names(device: DeviceId, target: Target, default: DefaultChoice, domain: str) -> list[str]:
    name = device_hostname(device, domain)
    labels = [target.cluster] if target.cluster else [] if target.address else list(default.by_place.values())
    return [server_name([name, cluster_hostname(label, domain)], device, domain) for label in labels] or [name]


def _verdict(holding: Holding, wildcard: Holding, answers: Mapping[str, Answer], now: datetime) -> str:
    if not answers:
        return "no resolver was asked"
    said = {kind: (zone_answer(holding, wildcard, kind), answer) for kind, answer in answers.items()}
    different = [f"{kind}: {zone} in the zone" for kind, (zone, answer) in said.items() if zone and zone != answer]
    if different:
        return f"DIFFERENT ({'; '.join(different)}){_lag(holding.route, now)}"
    if any(zone is None for zone, _ in said.values()):
        return "cannot be compared: an alias, one of several record sets, or a delegation stands at the name"
    return "they agree"


def _lag(route: Route | None, now: datetime) -> str:
    """A difference within one TTL of a change is none yet."""
    since = route.state_since or route.changed_at if route else None
    age = (now - since).total_seconds() if since else None
    if age is None or age > DEVICE_TTL_SECONDS:
        return ""
    return f"; changed {age:.0f} s ago, and a resolver may lag by {DEVICE_TTL_SECONDS} s"


def _verified(name: str) -> str:
    return f"the device sends and verifies the server name {name}"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
