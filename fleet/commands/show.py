"""`python -m fleet route show DEVICE`: why a device goes where it goes, and whether the wire agrees."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from fleet.cloud import Cloud
from fleet.commands.resolver_option import AskedResolver, NoResolver, resolver_of
from fleet.commands.show_telling import explanation_item, tell_explanation, tell_history
from fleet.commands.telling import errors_told
from fleet.deployment import places_of
from fleet.errors import RefusedError, UnfinishedError
from fleet.routing.answer import Answer, questions
from fleet.routing.applier import Applier
from fleet.routing.explain import Cluster, DefaultChoice, Explanation, Listing, explain, revision_line
from fleet.routing.holding import WILDCARD_LABEL, Holding, gather, label_of
from fleet.routing.inspect import Inspection
from fleet.routing.manifest_scan import found_devices
from fleet.routing.places import Places
from fleet.routing.resolver import Resolver
from fleet.routing.route import Route
from fleet.routing.zone_pages import pages_under
from fleet.zone_applier import zone_applier
from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id
from protocol.hostnames import device_hostname, wildcard_hostname
from provisioning.commands.options import AsJson, Stack, now, outputs_of
from stacks.environment import Choice
from stacks.outputs import Outputs


def show(
    device: Annotated[str, typer.Argument(help="The device id.")],
    *,
    stack: Stack,
    outputs: Annotated[Path, typer.Option(help="What the deployment gave: pulumi stack output --json.")],
    resolver: AskedResolver = None,
    no_resolver: NoResolver = False,
    history: Annotated[bool, typer.Option("--history", help="Every revision of its route as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Explain one device: who sends it where, what the zone holds, and what a DNS server answers now."""
    with errors_told():
        known = outputs_of(stack, outputs)
        identifier = _device(device)
        cloud = Cloud.from_environment()
        applier = zone_applier(known, cloud, clock=now)
        manifests = _listings(identifier, known, cloud)
        explanation = _explained(identifier, known, applier, resolver_of(known, resolver, none=no_resolver), manifests)
        revisions = applier.table.history(identifier) if history else ()
        lines = [revision_line(each, known.domain) for each in revisions]
        if as_json:
            typer.echo(json.dumps(explanation_item(explanation) | ({"history": lines} if history else {})))
            return
        tell_explanation(explanation)
        if history:
            tell_history(lines)


def _device(text: str) -> DeviceId:
    try:
        return parse_device_id(text)
    except InvalidDeviceIdError as error:
        raise RefusedError(str(error)) from error


def _listings(device: DeviceId, outputs: Outputs, cloud: Cloud) -> dict[str, Listing]:
    """A region that is down is told as such: that is when somebody asks where a device goes."""
    told: dict[str, Listing] = {}
    for name, cluster in sorted(outputs.clusters.items()):
        found = found_devices(cloud.dynamodb(cluster.region), cluster.manifest_table, [device])
        try:
            told[name] = Listing.NO if next(found, None) is None else Listing.YES
        except UnfinishedError:
            told[name] = Listing.UNKNOWN
    return told


def _explained(
    device: DeviceId,
    outputs: Outputs,
    applier: Applier,
    resolver: Resolver | None,
    manifests: Mapping[str, Listing],
) -> Explanation:
    places = places_of(outputs)
    holding = _held(device, places, applier, applier.table.read([device]).get(device))
    answers: dict[str, Answer] = {}
    if resolver is not None:
        name = device_hostname(device, outputs.domain)
        answers = {kind: resolver.ask(name, kind) for kind in questions(holding)}
    return explain(
        holding,
        _held(WILDCARD_LABEL, places, applier, None),
        Inspection(places=places, now=now(), read_plan=applier.table.read_plan),
        clusters={
            name: Cluster(
                kind=each.kind, region=each.region, residency=each.residency, data_endpoint=each.data_endpoint
            )
            for name, each in outputs.clusters.items()
        },
        default=_default(outputs),
        answers=answers,
        manifests=manifests,
    )


def _held(label: str, places: Places, applier: Applier, route: Route | None) -> Holding:
    """What the zone holds of one label, beside its route."""
    domain = places.domain
    name = wildcard_hostname(domain) if label == WILDCARD_LABEL else device_hostname(DeviceId(label), domain)
    pages = list(pages_under(name, applier.writer.page))
    return gather(
        label,
        domain,
        route=route,
        record_sets=[each for page in pages for each in page.record_sets if label_of(each.name, domain) == label],
        foreign=[each for page in pages for each in page.others if label_of(each[0], domain) == label],
    )


def _default(outputs: Outputs) -> DefaultChoice:
    default = outputs.routing.default
    by_place = {f"who is nearest to {outputs.clusters[name].region}": name for name in default.clusters}
    by_place |= {f"continent {place}": name for place, name in default.continents.items()}
    if default.cluster:
        by_place["any" if default.choose == Choice.SINGLE else "everywhere else"] = default.cluster
    return DefaultChoice(choose=default.choose, by_place=by_place)
