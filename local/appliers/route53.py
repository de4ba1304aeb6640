"""Amazon Route 53: one for all regions, so in the home cell."""

from collections.abc import Mapping
from typing import Any

from local.appliers.applier import Answer, Applier, Request, attempt, gone, keep
from local.appliers.shape import chosen

_CHECK = {
    "type": "Type",
    "fqdn": "FullyQualifiedDomainName",
    "ipAddress": "IPAddress",
    "port": "Port",
    "requestInterval": "RequestInterval",
    "failureThreshold": "FailureThreshold",
    "resourcePath": "ResourcePath",
    "measureLatency": "MeasureLatency",
    "invertHealthcheck": "Inverted",
    "disabled": "Disabled",
    "enableSni": "EnableSNI",
    "regions": "Regions",
}
_FIXED_CHECK = ("type", "measureLatency", "requestInterval")
_NO_STATUS = "health check status: the desk takes every checked cluster as healthy"
_NO_QUERY_LOG = "query logging: the desk's DNS keeps no log"
_NO_DNSSEC = "DNSSEC: the desk's DNS does not sign"


def _route53(request: Request) -> Any:
    return request.cloud.client("route53", request.cloud.home_region)


def _create_zone(request: Request) -> Answer:
    name, route53 = request.physical_name(), _route53(request)
    created = route53.create_hosted_zone(
        Name=name,
        CallerReference=request.name,
        HostedZoneConfig={"Comment": request.inputs.get("comment", ""), "PrivateZone": False},
    )
    zone = created["HostedZone"]["Id"].rpartition("/")[2]
    _tag(request, "hostedzone", zone)
    servers = [server.rstrip(".") for server in created["DelegationSet"]["NameServers"]]
    outputs = {"zoneId": zone, "arn": f"arn:aws:route53:::hostedzone/{zone}", "name": name}
    return Answer(zone, {**outputs, "nameServers": servers, "primaryNameServer": servers[0]})


def _update_zone(request: Request, former: Answer) -> Answer:
    _route53(request).update_hosted_zone_comment(Id=former.id, Comment=request.inputs.get("comment", ""))
    _tag(request, "hostedzone", former.id)
    return former


def _delete_zone(request: Request, former: Answer) -> None:
    gone(lambda: _route53(request).delete_hosted_zone(Id=former.id))


def _tag(request: Request, kind: str, identifier: str) -> None:
    if request.tags:
        _route53(request).change_tags_for_resource(ResourceType=kind, ResourceId=identifier, AddTags=request.tags)


def _write_record(request: Request) -> Answer:
    record = _record(request.inputs)
    _change(request, "UPSERT", record)
    name = record["Name"]
    identity = [request.inputs["zoneId"], name, record["Type"], record.get("SetIdentifier")]
    return Answer("_".join(part for part in identity if part), {"fqdn": name.rstrip("."), "name": name})


def _record(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The record set in the API's form."""
    record: dict[str, Any] = {"Name": inputs["name"], "Type": inputs["type"]}
    if "aliases" in inputs:
        (alias,) = inputs["aliases"]
        record["AliasTarget"] = {
            "HostedZoneId": alias["zoneId"],
            "DNSName": alias["name"],
            "EvaluateTargetHealth": alias["evaluateTargetHealth"],
        }
    else:
        record["TTL"] = inputs["ttl"]
        record["ResourceRecords"] = [{"Value": value} for value in inputs["records"]]
    record |= chosen(inputs, {"setIdentifier": "SetIdentifier", "healthCheckId": "HealthCheckId"})
    for policy in inputs.get("latencyRoutingPolicies", []):
        record["Region"] = policy["region"]
    for policy in inputs.get("geolocationRoutingPolicies", []):
        names = {"continent": "ContinentCode", "country": "CountryCode", "subdivision": "SubdivisionCode"}
        record["GeoLocation"] = chosen(policy, names)
    for policy in inputs.get("weightedRoutingPolicies", []):
        record["Weight"] = policy["weight"]
    for policy in inputs.get("failoverRoutingPolicies", []):
        record["Failover"] = policy["type"]
    return record


def _change(request: Request, action: str, record: dict[str, Any]) -> None:
    _route53(request).change_resource_record_sets(
        HostedZoneId=request.inputs["zoneId"],
        ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]},
    )


def _delete_record(request: Request, _former: Answer) -> None:
    gone(lambda: _change(request, "DELETE", _record(request.inputs)))


def _create_check(request: Request) -> Answer:
    created = _route53(request).create_health_check(
        CallerReference=request.name, HealthCheckConfig=chosen(request.inputs, _CHECK)
    )
    check = created["HealthCheck"]["Id"]
    _tag(request, "healthcheck", check)
    return Answer(check, {"arn": f"arn:aws:route53:::healthcheck/{check}"}, (_NO_STATUS,))


def _update_check(request: Request, former: Answer) -> Answer:
    changeable = {key: name for key, name in _CHECK.items() if key not in _FIXED_CHECK}
    _route53(request).update_health_check(HealthCheckId=former.id, **chosen(request.inputs, changeable))
    _tag(request, "healthcheck", former.id)
    return former


def _delete_check(request: Request, former: Answer) -> None:
    gone(lambda: _route53(request).delete_health_check(HealthCheckId=former.id))


def _log_queries(request: Request) -> Answer:
    zone, group = request.inputs["zoneId"], request.inputs["cloudwatchLogGroupArn"]
    gaps = attempt(
        _NO_QUERY_LOG,
        lambda: _route53(request).create_query_logging_config(HostedZoneId=zone, CloudWatchLogsLogGroupArn=group),
    )
    return Answer(f"{zone}-query-log", {}, gaps)


def _create_signing_key(request: Request) -> Answer:
    zone, name, key = request.inputs["hostedZoneId"], request.physical_name(), request.inputs["keyManagementServiceArn"]
    status = request.inputs.get("status", "ACTIVE")
    gaps = attempt(
        _NO_DNSSEC,
        lambda: _route53(request).create_key_signing_key(
            CallerReference=request.name,
            HostedZoneId=zone,
            KeyManagementServiceArn=key,
            Name=name,
            Status=status,
        ),
    )
    return Answer(f"{zone},{name}", {"name": name}, gaps)


def _sign_zone(request: Request) -> Answer:
    zone = request.inputs["hostedZoneId"]
    gaps = attempt(_NO_DNSSEC, lambda: _route53(request).enable_hosted_zone_dnssec(HostedZoneId=zone))
    return Answer(zone, {}, gaps)


APPLIERS = {
    "aws:route53/zone:Zone": Applier(_create_zone, _delete_zone, _update_zone, fixed=("name",)),
    "aws:route53/record:Record": Applier(
        _write_record,
        _delete_record,
        lambda request, _former: _write_record(request),
        fixed=("zoneId", "name", "type", "setIdentifier"),
    ),
    "aws:route53/healthCheck:HealthCheck": Applier(_create_check, _delete_check, _update_check, fixed=_FIXED_CHECK),
    "aws:route53/queryLog:QueryLog": Applier(_log_queries, keep),
    "aws:route53/keySigningKey:KeySigningKey": Applier(_create_signing_key, keep),
    "aws:route53/hostedZoneDnsSec:HostedZoneDnsSec": Applier(_sign_zone, keep),
}
