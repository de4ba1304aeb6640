"""The zone of an environment, record by record, for every way to choose the default."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.program import run_program
from local.reference import ReferenceBackend
from local.registration import ProgramError, Registration
from stacks.environment import Choice, Default, Environment, Routing
from stacks.load import load_environment

PROGRAM = """
from pathlib import Path

import pulumi

from components.device_routing import DeviceRouting, DeviceRoutingArgs
from components.naming import Naming
from stacks.environment import Environment

environment = Environment.model_validate_json((Path(__file__).parent / "environment.json").read_text())
naming = Naming(environment=environment.name, owner=environment.owner, account_id=pulumi.Output.from_input("1" * 12))
DeviceRouting("routing", DeviceRoutingArgs(naming=naming, environment=environment))
"""

Build = Callable[[Environment], list[Registration]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Builds the routing of an environment alone; returns what it registered."""
    (tmp_path / "Pulumi.yaml").write_text("name: flotilla\n", encoding="utf-8")
    (tmp_path / "__main__.py").write_text(PROGRAM, encoding="utf-8")

    def run(environment: Environment) -> list[Registration]:
        (tmp_path / "environment.json").write_text(environment.model_dump_json(), encoding="utf-8")
        program = run_program(environment.name, ReferenceBackend(), preview=True, project_root=tmp_path)
        return [resource.registration for resource in program.resources]

    return run


def stack(name: str, **changes: Any) -> Environment:
    return load_environment(name, today=datetime.now(UTC).date()).model_copy(update=changes)


def records(registrations: list[Registration]) -> dict[tuple[str, str | None], dict[str, Any]]:
    """Name and set identifier to the record's inputs."""
    inputs = [one.inputs for one in of_type(registrations, "aws:route53/record:Record")]
    return {(one["name"], one.get("setIdentifier")): one for one in inputs}


def of_type(registrations: list[Registration], kind: str) -> list[Registration]:
    return [one for one in registrations if one.type == kind]


def test_the_wildcard_leads_to_the_default_and_the_default_to_the_one_cluster(build: Build) -> None:
    zone = records(build(stack("dev", pins=())))
    assert zone["*.gw.iot-dev.example.com", None]["records"] == ["default.iot-dev.example.com"]
    assert zone["default.iot-dev.example.com", None]["records"] == ["eu1.clusters.iot-dev.example.com"]
    assert len(zone) == 2, "nothing else hides the wildcard"


def test_a_pinned_device_has_one_record_of_its_own(build: Build) -> None:
    zone = records(build(stack("dev")))
    assert zone["pinned1.gw.iot-dev.example.com", None]["type"] == "CNAME"
    assert zone["pinned1.gw.iot-dev.example.com", None]["records"] == ["us1.clusters.iot-dev.example.com"]
    assert zone["desk1.gw.iot-dev.example.com", None]["type"] == "A"
    assert zone["desk1.gw.iot-dev.example.com", None]["records"] == ["192.0.2.100"]


def test_whatever_a_moved_device_waits_for_is_kept_a_minute_at_most(build: Build) -> None:
    for name in ("dev", "staging", "production"):
        assert all(record["ttl"] <= 60 for record in records(build(stack(name))).values())


def test_a_single_default_is_not_checked_for_health(build: Build) -> None:
    assert not of_type(build(stack("dev")), "aws:route53/healthCheck:HealthCheck")


def test_by_latency_every_candidate_has_a_checked_record_in_its_region(build: Build) -> None:
    environment = stack("staging")
    zone = records(build(environment))
    assert environment.default.clusters
    for cluster in environment.default.clusters:
        record = zone[f"default.{environment.domain}", cluster]
        assert record["records"] == [f"{cluster}.clusters.{environment.domain}"]
        assert record["latencyRoutingPolicies"] == [{"region": environment.clusters[cluster].region}]
        assert record["healthCheckId"] == f"${{routing-{cluster}-health.id}}"


def test_by_place_every_continent_and_every_other_place_has_a_checked_record(build: Build) -> None:
    environment = stack("production")
    zone = records(build(environment))
    name = f"default.{environment.domain}"
    elsewhere = zone[name, "elsewhere"]
    assert elsewhere["geolocationRoutingPolicies"] == [{"country": "*"}], "no place gets no answer"
    assert elsewhere["records"] == [f"{environment.default.cluster}.clusters.{environment.domain}"]
    for continent, cluster in environment.default.continents.items():
        record = zone[name, continent.lower()]
        assert record["geolocationRoutingPolicies"] == [{"continent": continent.value}]
        assert record["records"] == [f"{cluster}.clusters.{environment.domain}"]
        assert record["healthCheckId"] == f"${{routing-{cluster}-health.id}}"


def test_a_cluster_is_checked_once_by_the_name_and_port_that_devices_use(build: Build) -> None:
    environment = stack("production")
    checks = [one.inputs for one in of_type(build(environment), "aws:route53/healthCheck:HealthCheck")]
    assert sorted(check["fqdn"] for check in checks) == [
        f"{cluster}.clusters.{environment.domain}" for cluster in sorted(environment.clusters)
    ]
    assert {(check["type"], check["port"]) for check in checks} == {("TCP", 8883)}


def test_a_default_that_names_no_cluster_is_refused(build: Build) -> None:
    with pytest.raises(ProgramError, match="chosen by single and names no cluster; add `cluster`"):
        build(stack("dev", default=Default(choose=Choice.SINGLE)))


def test_queries_are_logged_and_the_zone_is_signed_only_where_asked(build: Build) -> None:
    plain = build(stack("dev", routing=Routing(dnssec=False, query_logging=False)))
    asked = build(stack("dev", routing=Routing(dnssec=True, query_logging=True)))
    added = {one.type for one in asked} - {one.type for one in plain}
    assert added == {
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
        "aws:route53/queryLog:QueryLog",
        "aws:kms/key:Key",
        "aws:route53/keySigningKey:KeySigningKey",
        "aws:route53/hostedZoneDnsSec:HostedZoneDnsSec",
    }
    assert {one.region for one in asked if one.region} == {"us-east-1"}, (
        "Route 53 looks for both there and nowhere else"
    )


def test_a_zone_is_protected_where_devices_in_the_field_dial_it(build: Build) -> None:
    zones = {name: of_type(build(stack(name)), "aws:route53/zone:Zone")[0] for name in ("dev", "production")}
    assert zones["production"].protect
    assert not zones["dev"].protect
    assert all(zone.inputs["forceDestroy"] is False for zone in zones.values())
