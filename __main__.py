"""The whole deployment: load the environment, build it, export what the tools need (`stacks.outputs`)."""

from datetime import UTC, datetime
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.certificate_authority import CertificateAuthority, CertificateAuthorityArgs
from components.device_access import DeviceAccess, DeviceAccessArgs
from components.device_routing import DeviceRouting, DeviceRoutingArgs
from components.ingestion_cluster import IngestionCluster, IngestionClusterArgs
from components.naming import Naming
from components.telemetry_lake import TelemetryLake, TelemetryLakeArgs
from stacks.errors import StackError
from stacks.load import AUTHORITIES, find_ca_certificates, load_environment
from stacks.outputs import OUTPUTS_VERSION

stack, today = pulumi.get_stack(), datetime.now(UTC).date()
directory = Path(pulumi.Config("flotilla").get("authorities_directory") or AUTHORITIES / stack)
try:
    environment = load_environment(stack, today=today)
    certificates = find_ca_certificates(environment, directory, today=today)
except StackError as error:
    raise pulumi.RunError(str(error)) from error

naming = Naming(
    environment=environment.name,
    owner=environment.owner,
    account_id=aws.get_caller_identity_output().account_id,
)
routing = DeviceRouting(
    "routing",
    DeviceRoutingArgs(
        naming=naming,
        domain=environment.domain,
        clusters=environment.clusters,
        default=environment.default,
        routing=environment.routing,
        pins=environment.pins,
    ),
)
authorities = {
    label: CertificateAuthority(
        f"authority-{label}",
        CertificateAuthorityArgs(
            naming=naming,
            authority=label,
            key=authority.key,
            home_region=environment.home_region,
            cluster_regions={name: cluster.region for name, cluster in environment.clusters.items()},
            certificate=certificates.get(label),
        ),
    )
    for label, authority in environment.authorities.items()
}
clusters = {}
for label, cluster in environment.clusters.items():
    access = DeviceAccess(
        f"{label}-access", DeviceAccessArgs(naming=naming, region=cluster.region, models=environment.models)
    )
    lake = TelemetryLake(f"{label}-telemetry", TelemetryLakeArgs(naming=naming, cluster=label, region=cluster.region))
    ingestion = IngestionCluster(
        f"{label}-cluster",
        IngestionClusterArgs(
            naming=naming,
            cluster=label,
            region=cluster.region,
            domain=environment.domain,
            zone_id=routing.zone_id,
            ingest_function_arn=lake.ingest_function_arn,
            dead_letter_queue_url=lake.dead_letter_queue_url,
            error_role_arn=lake.error_role_arn,
        ),
    )
    clusters[label] = {
        "region": cluster.region,
        "kind": cluster.kind.value,
        "residency": cluster.residency.value,
        "server_name": ingestion.server_name,
        "data_endpoint": ingestion.data_endpoint,
        "lake_bucket": lake.bucket_name,
        "dead_letter_queue_url": lake.dead_letter_queue_url,
    }

pulumi.export("version", OUTPUTS_VERSION)
pulumi.export("environment", environment.name)
pulumi.export("domain", environment.domain)
pulumi.export("home_region", environment.home_region)
pulumi.export("zone_id", routing.zone_id)
pulumi.export("name_servers", routing.name_servers)
pulumi.export("device_policy_name", naming.name("device"))
pulumi.export("clusters", clusters)
