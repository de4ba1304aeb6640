"""Stack dev in the embedded AWS: every service is asked whether what the program wanted is really there."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.apply import Action
from local.cloud import Cloud
from local.deployment import Deployment
from local.program import PROJECT_ROOT
from local.state import read_state
from protocol.admission import MANIFEST_DEVICE_INDEX, MANIFEST_DEVICE_KEY, ManifestEntry, Standing
from protocol.device_id import parse_device_id
from provisioning.manifest import Manifest
from provisioning.signed_entry import SignedEntry
from stacks.outputs import Outputs, read_outputs

pytestmark = pytest.mark.cloud
HOME, OTHER = "eu-north-1", "us-east-1"
ACCOUNT = "000000000000"
ZONE_KEYS = [f"route53:ChangeResourceRecordSets{what}" for what in ("Actions", "NormalizedRecordNames", "RecordTypes")]


@pytest.fixture(scope="module")
def cloud(dev_desk: Deployment) -> Cloud:
    record = dev_desk.record
    return Cloud({region: cell.endpoint for region, cell in record.cells.items()}, record.home_region, PROJECT_ROOT)


def inputs(desk: Deployment, name: str) -> dict[str, Any]:
    (entry,) = [entry for entry in read_state(desk.home).entries() if entry.name == name]
    return entry.inputs


def test_every_resource_was_created_and_is_remembered_as_applied(dev_desk: Deployment) -> None:
    assert set(dev_desk.counts) == {Action.CREATED}
    state = read_state(dev_desk.home)
    assert not state.interrupted()
    assert {entry.urn for entry in state.entries()} == {outcome.urn for outcome in dev_desk.outcomes}


def test_the_outputs_file_is_what_the_tools_read(dev_desk: Deployment) -> None:
    outputs = read_outputs(dev_desk.home / "outputs.json")
    assert outputs == dev_desk.outputs
    assert outputs.clusters["eu1"].data_endpoint.endswith(".iot.eu-north-1.localhost"), "a host name without a port"


def test_only_what_the_emulator_lacks_is_told_as_not_emulated(dev_desk: Deployment) -> None:
    gaps = {gap.rpartition(": ")[0] for component in dev_desk.components for gap in component.gaps}
    assert gaps == {
        "IoT logging options",
        "a thing group's policy",
        f"replication to flotilla-dev-us-east-1-firmware-{ACCOUNT}: it is in another region, so in another cell",
        "TLS to AWS endpoints",
        "the condition cloudwatch:namespace of cloudwatch:PutMetricData",
        "the resources iot:AttachPolicy is limited to",
        "the resources iot:DescribeCACertificate is limited to",
        "the resources route53:GetChange is limited to",
        "the condition dynamodb:LeadingKeys of dynamodb:DeleteItem",
        "the refusal of dynamodb:DeleteItem and dynamodb:PutItem and dynamodb:UpdateItem by dynamodb:LeadingKeys",
        f"the condition {' and '.join(ZONE_KEYS)} of route53:ChangeResourceRecordSets",
        f"the refusal of route53:ChangeResourceRecordSets by {ZONE_KEYS[1]}",
    }


def test_the_zone_holds_wildcard_default_pins_and_cluster_names(dev_desk: Deployment, cloud: Cloud) -> None:
    zone = dev_desk.outputs.zone_id
    sets = cloud.client("route53", HOME).list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    routes = [record for record in sets if record["Type"] in ("CNAME", "A")]
    found = {record["Name"]: record["ResourceRecords"][0]["Value"] for record in routes}
    domain = dev_desk.outputs.domain
    assert found[f"*.gw.{domain}."] == f"default.{domain}"
    assert found[f"default.{domain}."] == f"eu1.clusters.{domain}"
    assert found[f"pinned1.gw.{domain}."] == f"us1.clusters.{domain}"
    assert found[f"desk1.gw.{domain}."] == "192.0.2.100"
    assert found[f"us1.clusters.{domain}."] == dev_desk.outputs.clusters["us1"].data_endpoint


@pytest.mark.parametrize(("cluster", "region"), [("eu1", HOME), ("us1", OTHER)])
def test_a_cluster_is_served_under_its_own_name(dev_desk: Deployment, cloud: Cloud, cluster: str, region: str) -> None:
    iot = cloud.client("iot", region)
    (name,) = [
        item["domainConfigurationName"]
        for item in iot.list_domain_configurations()["domainConfigurations"]
        if item["domainConfigurationName"].startswith("flotilla")
    ]
    domain = iot.describe_domain_configuration(domainConfigurationName=name)
    assert domain["domainName"] == dev_desk.outputs.clusters[cluster].server_name
    assert domain["domainConfigurationStatus"] == "ENABLED"
    (served,) = domain["serverCertificates"]
    certificate = cloud.client("acm", region).describe_certificate(CertificateArn=served["serverCertificateArn"])
    assert certificate["Certificate"]["Status"] == "ISSUED"


@pytest.mark.parametrize("region", [HOME, OTHER])
def test_iot_has_policy_types_rule_indexing_and_events(dev_desk: Deployment, cloud: Cloud, region: str) -> None:
    iot = cloud.client("iot", region)
    policy = iot.get_policy(policyName=dev_desk.outputs.device_policy_name)
    assert json.loads(policy["policyDocument"])["Statement"]
    assert {kind["thingTypeName"] for kind in iot.list_thing_types()["thingTypes"]} == {"fl50", "fl100"}
    rules = [iot.get_topic_rule(ruleName=rule["ruleName"])["rule"] for rule in iot.list_topic_rules()["rules"]]
    (batch,) = [rule for rule in rules if "dt/+/batch" in rule["sql"]]
    assert "lambda" in batch["actions"][0]
    assert "sqs" in batch["errorAction"]
    assert not batch["ruleDisabled"]
    indexing = iot.get_indexing_configuration()["thingIndexingConfiguration"]
    assert indexing["thingConnectivityIndexingMode"] == "STATUS"
    wanted = inputs(dev_desk, "eu1-ingestion-events")["eventConfigurations"]
    found = iot.describe_event_configurations()["eventConfigurations"]
    assert {name: found[name]["Enabled"] for name in wanted} == wanted


@pytest.mark.parametrize("region", [HOME, OTHER])
def test_the_catalogue_names_the_lake_of_its_region(dev_desk: Deployment, cloud: Cloud, region: str) -> None:
    (cluster,) = [each for each in dev_desk.outputs.clusters.values() if each.region == region]
    found = cloud.client("glue", region).get_tables(DatabaseName="flotilla_dev_lake")["TableList"]
    assert {table["Name"] for table in found} == {"measurements", "measurements_of_unknown_day"}
    for table in found:
        assert table["StorageDescriptor"]["Location"].startswith(f"s3://{cluster.lake_bucket}/measurements/")
        assert table["Parameters"]["projection.enabled"] == "true"


@pytest.mark.parametrize("region", [HOME, OTHER])
def test_functions_run_with_the_role_and_settings_of_the_program(
    dev_desk: Deployment, cloud: Cloud, region: str
) -> None:
    functions = {item["FunctionName"]: item for item in cloud.client("lambda", region).list_functions()["Functions"]}
    at_home = {"flotilla-dev-route-sweep"} if region == HOME else set()
    assert set(functions) == at_home | {
        "flotilla-dev-registrar",
        "flotilla-dev-ingest",
        "flotilla-dev-authority-expiry",
    }
    registrar = functions["flotilla-dev-registrar"]
    assert registrar["Handler"] == "functions.registrar.handler"
    assert registrar["Environment"]["Variables"]["MANIFEST_TABLE"] == dev_desk.outputs.clusters["eu1"].manifest_table
    archive = PROJECT_ROOT / "build" / "functions" / "here" / "registrar.zip"
    assert registrar["CodeSize"] == archive.stat().st_size


@pytest.mark.parametrize("cluster", ["eu1", "us1"])
def test_the_manifest_can_be_restored_and_the_lake_is_private(dev_desk: Deployment, cloud: Cloud, cluster: str) -> None:
    outputs = dev_desk.outputs.clusters[cluster]
    backups = cloud.client("dynamodb", outputs.region).describe_continuous_backups(TableName=outputs.manifest_table)
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    s3, bucket = cloud.client("s3", outputs.region), {"Bucket": outputs.lake_bucket}
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"].values())
    assert "aws:SecureTransport" in s3.get_bucket_policy(**bucket)["Policy"]
    assert s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert s3.get_bucket_lifecycle_configuration(**bucket)["Rules"]
    tags = {tag["Key"] for tag in s3.get_bucket_tagging(**bucket)["TagSet"]}
    assert {"environment", "component", "owner"} <= tags


@pytest.mark.parametrize("cluster", ["eu1", "us1"])
def test_the_manifest_is_asked_by_device_without_reading_it_whole(
    dev_desk: Deployment, cloud: Cloud, cluster: str
) -> None:
    outputs = dev_desk.outputs.clusters[cluster]
    dynamodb = cloud.client("dynamodb", outputs.region)
    entries = [
        ManifestEntry(
            fingerprint=letter * 64,
            device=parse_device_id(device),
            model="fl100",
            authority="line-a",
            serial="1",
            not_after=datetime(2040, 1, 1, tzinfo=UTC),
            standing=Standing.GOOD,
        )
        for letter, device in (("a", "indexed1"), ("b", "indexed1"), ("c", "indexed2"))
    ]
    Manifest(dynamodb, outputs.manifest_table).tell([SignedEntry(entry=entry) for entry in entries])
    answer = dynamodb.query(
        TableName=outputs.manifest_table,
        IndexName=MANIFEST_DEVICE_INDEX,
        KeyConditionExpression=f"{MANIFEST_DEVICE_KEY} = :device",
        ExpressionAttributeValues={":device": {"S": "indexed1"}},
    )
    found = [ManifestEntry.from_item({name: value["S"] for name, value in item.items()}) for item in answer["Items"]]
    assert sorted(found, key=lambda entry: entry.fingerprint) == entries[:2], "whole entries, of this device alone"


def test_firmware_is_locked(dev_desk: Deployment, cloud: Cloud) -> None:
    bucket = dev_desk.outputs.clusters["eu1"].firmware_bucket
    lock = cloud.client("s3", HOME).get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    assert lock["Rule"]["DefaultRetention"] == {"Mode": "GOVERNANCE", "Days": 1}


def test_an_authoritys_key_signs_and_is_found_by_its_alias(dev_desk: Deployment, cloud: Cloud) -> None:
    arn = dev_desk.outputs.authorities["line-b"].key_arn
    kms = cloud.client("kms", HOME)
    key = kms.describe_key(KeyId=arn)["KeyMetadata"]
    assert (key["KeySpec"], key["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    aliases = kms.list_aliases(KeyId=key["KeyId"])["Aliases"]
    assert [alias["AliasName"] for alias in aliases] == [inputs(dev_desk, "authority-line-b-key-alias")["name"]]


@pytest.mark.parametrize("cluster", ["eu1", "us1"])
def test_dead_letters_and_alarms_have_their_places(dev_desk: Deployment, cloud: Cloud, cluster: str) -> None:
    outputs = dev_desk.outputs.clusters[cluster]
    queue = cloud.client("sqs", outputs.region).get_queue_attributes(
        QueueUrl=outputs.dead_letter_queue_url, AttributeNames=["All"]
    )["Attributes"]
    assert "aws:SecureTransport" in queue["Policy"]
    alarms = cloud.client("cloudwatch", outputs.region).describe_alarms()["MetricAlarms"]
    assert alarms
    assert all(alarm["AlarmActions"] == [outputs.alarm_topic_arn] for alarm in alarms)
    topic = cloud.client("sns", outputs.region).get_topic_attributes(TopicArn=outputs.alarm_topic_arn)["Attributes"]
    assert topic["KmsMasterKeyId"]


def test_the_dashboard_and_the_daily_watch_are_there(dev_desk: Deployment, cloud: Cloud) -> None:
    assert cloud.client("cloudwatch", HOME).list_dashboards()["DashboardEntries"]
    events = cloud.client("events", OTHER)
    (rule,) = events.list_rules()["Rules"]
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"].endswith(":function:flotilla-dev-authority-expiry")


def test_roles_and_their_permissions_are_in_every_cell(dev_desk: Deployment, cloud: Cloud) -> None:
    for iam in cloud.everywhere("iam"):
        roles = {role["RoleName"] for role in iam.list_roles()["Roles"]}
        assert {"flotilla-dev-eu1-registrar", "flotilla-dev-us1-registrar"} <= roles
        assert iam.list_role_policies(RoleName="flotilla-dev-us1-registrar")["PolicyNames"] == ["registrar"]


def test_the_log_groups_forget(dev_desk: Deployment, cloud: Cloud) -> None:
    groups = {g["logGroupName"]: g for g in cloud.client("logs", HOME).describe_log_groups()["logGroups"]}
    assert groups["/aws/lambda/flotilla-dev-registrar"]["retentionInDays"] == 90


@pytest.mark.timeout(600)  # three cells and 250 resources, on a machine that may be busy
def test_production_deploys_on_three_continents_and_its_outputs_parse(production_desk: Deployment) -> None:
    outputs = Outputs.model_validate_json((production_desk.home / "outputs.json").read_text(encoding="utf-8"))
    regions = {cluster.region for cluster in outputs.clusters.values()}
    assert regions == set(production_desk.record.cells)
    assert len(regions) == 3
    assert set(production_desk.counts) == {Action.CREATED}
    gaps = {gap.partition(":")[0] for component in production_desk.components for gap in component.gaps}
    assert "health check status" in gaps


def test_production_answers_by_place(production_desk: Deployment) -> None:
    record = production_desk.record
    endpoints = {region: cell.endpoint for region, cell in record.cells.items()}
    route53 = Cloud(endpoints, record.home_region, Path()).client("route53", record.home_region)
    zone, domain = production_desk.outputs.zone_id, production_desk.outputs.domain
    sets = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    places = {
        str(record["GeoLocation"]): record["ResourceRecords"][0]["Value"]
        for record in sets
        if record["Name"] == f"default.{domain}."
    }
    assert set(places.values()) == {f"{cluster}.clusters.{domain}" for cluster in production_desk.outputs.clusters}
    assert all(record.get("HealthCheckId") for record in sets if "GeoLocation" in record)
