"""A cluster devices connect to, of the managed kind (design decision 4): AWS IoT Core under a name of ours.

AWS IoT takes a TLS server name only if a domain configuration has exactly that name (design decision 3), so each
cluster has one, with a certificate for it, and a CNAME that leads from the name to the region's data endpoint.
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.batch_stream import BatchStream
from components.iot_log import IotLog, IotLogArgs
from components.naming import Naming
from components.telemetry_lake import BATCH_RULE, TelemetryLake
from protocol.hostnames import cluster_hostname
from protocol.topics import BATCH_FILTER

KEY_ALGORITHM = "EC_prime256v1"  # P-256: a smaller handshake than RSA for devices on a radio
TLS_POLICY = "IoTSecurityPolicy_TLS13_1_2_2022_10"  # TLS 1.2 and 1.3 (AWS IoT Developer Guide, "TLS security policies")
SQL_VERSION = "2016-03-23"  # AWS IoT SQL reference, "SQL versions"
CLUSTER_TTL_SECONDS = 300  # the data endpoint's name does not change; its own addresses have a shorter TTL
VALIDATION_TTL_SECONDS = 300  # ACM asks again and again, for every renewal

BATCH_SQL = (
    "SELECT encode(*, 'base64') AS payload, topic(2) AS device, timestamp() AS received, principal() AS certificate "  # noqa: S608 - AWS IoT SQL
    f"FROM '{BATCH_FILTER}'"
)
"""The payload is binary, which reaches a function only in base64; the device is named by the topic the policy let it
publish on, not by what it says of itself, and its model is found by the certificate it came with."""

EVENTS = {
    "CA_CERTIFICATE": True,
    "CERTIFICATE": True,
    "JOB": True,
    "JOB_EXECUTION": True,
    "POLICY": True,
    "THING": True,
    "THING_GROUP": True,
    "THING_GROUP_HIERARCHY": False,
    "THING_GROUP_MEMBERSHIP": True,
    "THING_TYPE": True,
    "THING_TYPE_ASSOCIATION": True,
}
"""Which registry events AWS IoT publishes. Presence events (`$aws/events/presence/…`) cannot be switched: they always
come, and the connectivity index keeps the last of each."""


@dataclass(frozen=True, kw_only=True)
class IngestionClusterArgs:
    """Which cluster, and where its batches go."""

    naming: Naming
    cluster: str
    region: str
    domain: str
    zone_id: pulumi.Input[str]
    lake: TelemetryLake
    """Of the same region."""


class IngestionCluster(pulumi.ComponentResource):
    """The cluster's name, certificate and endpoint, its batch rule, and what AWS IoT indexes, announces and logs."""

    server_name: str
    data_endpoint: pulumi.Output[str]
    rule_name: str

    def __init__(self, name: str, args: IngestionClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:IngestionCluster", name, None, opts)
        self._name, self._args = name, args
        self._tags = args.naming.tags(name)
        self.server_name = cluster_hostname(args.cluster, args.domain)
        endpoint = aws.iot.get_endpoint_output(endpoint_type="iot:Data-ATS", region=args.region)
        self.data_endpoint = endpoint.endpoint_address
        self._record("name", self.server_name, "CNAME", self.data_endpoint, ttl=CLUSTER_TTL_SECONDS)
        self._serve(self._certificate())
        self.rule_name = args.naming.rule(BATCH_RULE)
        self._take_batches()
        self._index()
        IotLog(
            f"{name}-log",
            IotLogArgs(naming=args.naming, tags=self._tags, cluster=args.cluster, region=args.region),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"server_name": self.server_name, "data_endpoint": self.data_endpoint})

    def _certificate(self) -> pulumi.Output[str]:
        """The ARN of a certificate for the server name, once it is issued."""
        certificate = aws.acm.Certificate(
            f"{self._name}-certificate",
            domain_name=self.server_name,
            key_algorithm=KEY_ALGORITHM,
            validation_method="DNS",
            region=self._args.region,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        proof = certificate.domain_validation_options[0]
        record = self._record(
            "validation-record",
            proof.resource_record_name,
            proof.resource_record_type,
            proof.resource_record_value,
            ttl=VALIDATION_TTL_SECONDS,
        )
        validation = aws.acm.CertificateValidation(
            f"{self._name}-validation",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn],
            region=self._args.region,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return validation.certificate_arn

    def _serve(self, certificate_arn: pulumi.Input[str]) -> None:
        """Have AWS IoT answer to the server name."""
        aws.iot.DomainConfiguration(
            f"{self._name}-domain",
            name=self._args.naming.name(self._args.cluster),
            domain_name=self.server_name,
            service_type="DATA",
            server_certificate_arns=[certificate_arn],
            tls_config=aws.iot.DomainConfigurationTlsConfigArgs(security_policy=TLS_POLICY),
            region=self._args.region,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _take_batches(self) -> None:
        """Send every batch on its way to the ingest function, and what cannot be sent to the dead letter queue."""
        lake, queue, stream = self._args.lake, self._args.lake.dead_letters, self._args.lake.stream
        dead_letter = aws.iot.TopicRuleErrorActionSqsArgs(
            queue_url=queue.queue_url, role_arn=queue.error_action_role_arn, use_base64=False
        )
        aws.iot.TopicRule(
            f"{self._name}-batch-rule",
            name=self.rule_name,
            description=f"Batches of measurements to the {'stream' if stream else 'ingest function'}",
            enabled=True,
            sql=BATCH_SQL,
            sql_version=SQL_VERSION,
            lambdas=None if stream else [aws.iot.TopicRuleLambdaArgs(function_arn=lake.function_arn)],
            kineses=[_into(stream)] if stream else None,
            error_action=aws.iot.TopicRuleErrorActionArgs(sqs=dead_letter),
            region=self._args.region,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[lake.permission, queue.permission]),
        )

    def _index(self) -> None:
        """Make the fleet searchable, by connectivity too, and its changes events."""
        aws.iot.IndexingConfiguration(
            f"{self._name}-index",
            thing_indexing_configuration=aws.iot.IndexingConfigurationThingIndexingConfigurationArgs(
                thing_indexing_mode="REGISTRY_AND_SHADOW", thing_connectivity_indexing_mode="STATUS"
            ),
            thing_group_indexing_configuration=aws.iot.IndexingConfigurationThingGroupIndexingConfigurationArgs(
                thing_group_indexing_mode="ON"
            ),
            region=self._args.region,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.iot.EventConfigurations(
            f"{self._name}-events",
            event_configurations=EVENTS,
            region=self._args.region,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _record(
        self, label: str, name: pulumi.Input[str], kind: pulumi.Input[str], value: pulumi.Input[str], *, ttl: int
    ) -> aws.route53.Record:
        return aws.route53.Record(
            f"{self._name}-{label}",
            zone_id=self._args.zone_id,
            name=name,
            type=kind,
            ttl=ttl,
            records=[value],
            opts=pulumi.ResourceOptions(parent=self),
        )


def _into(stream: BatchStream) -> aws.iot.TopicRuleKinesisArgs:
    """A record a batch. The batches of one device share a shard, and so their order."""
    return aws.iot.TopicRuleKinesisArgs(
        stream_name=stream.stream_name, partition_key="${topic(2)}", role_arn=stream.put_role_arn
    )
