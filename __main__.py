"""The whole deployment: load the environment, build it, export what the tools need (`stacks.outputs`)."""

from datetime import UTC, datetime
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.alarms import Watched
from components.certificate_authority import CertificateAuthority, CertificateAuthorityArgs, way_to_certificate
from components.device_access import DeviceAccess, DeviceAccessArgs
from components.device_routing import DeviceRouting, DeviceRoutingArgs
from components.firmware_store import FirmwareStore, FirmwareStoreArgs
from components.ingestion_cluster import IngestionCluster, IngestionClusterArgs
from components.monitoring import Monitoring, MonitoringArgs
from components.naming import Naming
from components.registrar import Registrar, RegistrarArgs
from components.route_sweeper import RouteSweeper, RouteSweeperArgs
from components.route_table import RouteTable, RouteTableArgs
from components.telemetry_lake import TelemetryLake, TelemetryLakeArgs
from stacks.errors import StackError
from stacks.load import AUTHORITIES, find_ca_certificates, load_environment
from stacks.outputs import OUTPUTS_VERSION, routing_outputs

stack, today = pulumi.get_stack(), datetime.now(UTC).date()
directory = Path(pulumi.Config("flotilla").get("authorities_directory") or AUTHORITIES / stack)
try:
    environment = load_environment(stack, today=today)
    certificates = find_ca_certificates(environment, directory, today=today)
except StackError as error:
    raise pulumi.RunError(str(error)) from error
home, domain = environment.home_region, environment.domain
regions = {name: cluster.region for name, cluster in environment.clusters.items()}
account_id = aws.get_caller_identity_output().account_id
naming = Naming(environment=environment.name, owner=environment.owner, account_id=account_id)

routing = DeviceRouting("routing", DeviceRoutingArgs(naming=naming, environment=environment))
pins = [pin.device for pin in environment.pins]
routes = RouteTable("routes", RouteTableArgs(naming=naming, home_region=home, pins=pins))
sweeper = RouteSweeper(
    "route-sweeper",
    RouteSweeperArgs(
        naming=naming, home_region=home, domain=domain, zone_id=routing.zone_id, routes=routes, clusters=regions
    ),
)
firmware = FirmwareStore(
    "firmware",
    FirmwareStoreArgs(naming=naming, home_region=home, regions=tuple(regions.values()), firmware=environment.firmware),
)
authorities = {
    label: CertificateAuthority(
        f"authority-{label}",
        CertificateAuthorityArgs(
            naming=naming,
            authority=label,
            key=authority.key,
            home_region=home,
            cluster_regions=regions if label in environment.issuing else {},
            certificate=certificates.get(label),
        ),
    )
    for label, authority in environment.authorities.items()
}
issuing = sorted(set(environment.issuing) & set(certificates))
clusters, watched, ca_certificate_ids = {}, {}, {}
for name, region in regions.items():
    ca_certificate_ids[name] = {label: authorities[label].ca_certificate_ids[name] for label in issuing}
    access = DeviceAccess(f"{name}-access", DeviceAccessArgs(naming=naming, region=region, models=environment.models))
    registrar = Registrar(
        f"{name}-registrar",
        RegistrarArgs(
            naming=naming,
            cluster=name,
            region=region,
            ca_certificate_ids=ca_certificate_ids[name],
            device_policy_name=access.policy_name,
        ),
    )
    lake = TelemetryLake(
        f"{name}-telemetry",
        TelemetryLakeArgs(
            naming=naming,
            cluster=name,
            region=region,
            manifest_table=registrar.table_name,
            manifest_table_arn=registrar.table_arn,
            batches=environment.clusters[name].batches,
            models=tuple(environment.models),
        ),
    )
    ingestion = IngestionCluster(
        f"{name}-ingestion",
        IngestionClusterArgs(
            naming=naming, cluster=name, region=region, domain=domain, zone_id=routing.zone_id, lake=lake
        ),
    )
    watched[name] = Watched(
        cluster=name,
        region=region,
        rules={"batch": ingestion.rule_name, **registrar.rule_names},
        streams={"batch": lake.stream.stream_name} if lake.stream else {},
        functions={"ingest": lake.function_name, "registrar": registrar.function_name}
        | ({"route-sweep": sweeper.function_name} if region == home else {}),
        queues={"telemetry": lake.dead_letters.queue_name, "registrar": registrar.dead_letter_queue_name},
        authorities=tuple(ca_certificate_ids[name]),
        sweeps_routes=region == home,
    )
    clusters[name] = {
        "region": region,
        "kind": environment.clusters[name].kind.value,
        "residency": environment.clusters[name].residency.value,
        "server_name": ingestion.server_name,
        "max_connections": environment.fleet.clusters[name].connections,
        "max_connects_per_second": environment.fleet.clusters[name].connects_per_second,
        "data_endpoint": ingestion.data_endpoint,
        "manifest_table": registrar.table_name,
        "lake_bucket": lake.bucket_name,
        "batches": environment.clusters[name].batches.value,
        "ingest_function": lake.function_name,
        "dead_letter_queue_url": lake.dead_letters.queue_url,
        "firmware_bucket": firmware.bucket_names[region],
    }
monitoring = Monitoring(
    "monitoring",
    MonitoringArgs(
        naming=naming,
        home_region=home,
        thresholds=environment.alarms,
        clusters=watched,
        ca_certificate_ids=ca_certificate_ids,
    ),
)

pulumi.export("version", OUTPUTS_VERSION)
pulumi.export("environment", environment.name)
pulumi.export("domain", domain)
pulumi.export("home_region", home)
pulumi.export("zone_id", routing.zone_id)
pulumi.export("name_servers", routing.name_servers)
pulumi.export("routing", {"route_table": routes.table_name, **routing_outputs(environment)})
pulumi.export("device_policy_name", naming.name("device"))
pulumi.export("device_group_name", naming.name("devices"))
pulumi.export(
    "clusters",
    {name: cluster | {"alarm_topic_arn": monitoring.topic_arns[name]} for name, cluster in clusters.items()},
)
pulumi.export("authorities", {label: authority.outputs() for label, authority in authorities.items()})
pulumi.export(
    "authorities_without_certificate",
    {
        label: way_to_certificate(stack, label, authority.key)
        for label, authority in environment.authorities.items()
        if label not in certificates
    },
)
