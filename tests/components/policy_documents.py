"""Every policy document the program makes, with names made up for it: what golden files, invariants and judges read."""

from dataclasses import dataclass
from enum import StrEnum

from components.policies import (
    device,
    firmware,
    keys,
    lake,
    logs,
    monitoring,
    queue,
    registrar,
    routing,
    stream,
    transport,
    trust,
)
from components.policies.statement import Document

ACCOUNT = "111122223333"
REGION = "eu-north-1"
PLACE = {"region": REGION, "account_id": ACCOUNT}
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:flotilla-dev-letters"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/flotilla-dev-manifest"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:flotilla-dev-alarms"
KEY = "arn:aws:kms:{region}:" + ACCOUNT + ":key/1234abcd-12ab-34cd-56ef-1234567890ab"
ROUTES = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/flotilla-dev-routes"
STREAM = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/flotilla-dev-batches"
ZONE = "Z0123456789ABCDEFGHIJ"
DOMAIN = "iot-dev.example.com"
BUCKET = f"flotilla-dev-{REGION}-lake-{ACCOUNT}"


class Kind(StrEnum):
    """Where a document stands, which decides what it must say."""

    ROLE = "what a role may do"
    TRUST = "who may assume a role"
    RESOURCE = "the policy of a bucket, queue, topic or log group"
    KEY = "the policy of a KMS key"
    DEVICE = "what a device may do"


@dataclass(frozen=True)
class Written:
    """A document, and where it stands."""

    name: str
    kind: Kind
    document: Document

    def __str__(self) -> str:
        return self.name


DOCUMENTS = (
    Written("device_policy", Kind.DEVICE, device.device_policy(**PLACE)),
    Written("firmware_key_policy", Kind.KEY, firmware.firmware_key_policy(**PLACE)),
    Written("alarm_key_policy", Kind.KEY, monitoring.alarm_key_policy(account_id=ACCOUNT)),
    Written("authority_key_policy", Kind.KEY, keys.authority_key_policy(account_id=ACCOUNT)),
    Written("dnssec_key_policy", Kind.KEY, keys.dnssec_key_policy(account_id=ACCOUNT)),
    Written("bucket_policy", Kind.RESOURCE, transport.bucket_policy(bucket=BUCKET)),
    Written("queue_policy", Kind.RESOURCE, queue.queue_policy(queue_arn=QUEUE)),
    Written("alarm_topic_policy", Kind.RESOURCE, monitoring.alarm_topic_policy(topic_arn=TOPIC, **PLACE)),
    Written(
        "query_log_policy", Kind.RESOURCE, logs.query_log_policy(log_group="/aws/route53/iot-dev.example.com", **PLACE)
    ),
    Written("error_action_policy", Kind.ROLE, queue.error_action_policy(queue_arn=QUEUE)),
    Written("iot_logging_policy", Kind.ROLE, logs.iot_logging_policy(**PLACE)),
    Written(
        "ingest_policy",
        Kind.ROLE,
        lake.ingest_policy(
            function="flotilla-dev-ingest", bucket=BUCKET, manifest_table_arn=TABLE, queue_arn=QUEUE, **PLACE
        ),
    ),
    Written(
        "stream_ingest_policy",
        Kind.ROLE,
        lake.stream_ingest_policy(
            function="flotilla-dev-ingest",
            bucket=BUCKET,
            manifest_table_arn=TABLE,
            queue_arn=QUEUE,
            stream_arn=STREAM,
            **PLACE,
        ),
    ),
    Written(
        "lake_operator_policy",
        Kind.ROLE,
        lake.lake_operator_policy(
            clusters={
                REGION: lake.LakePlace(
                    bucket=BUCKET, queue_arn=QUEUE, function="flotilla-dev-ingest", stream="flotilla-dev-batches"
                )
            },
            account_id=ACCOUNT,
        ),
    ),
    Written("put_batches_policy", Kind.ROLE, stream.put_batches_policy(stream_arn=STREAM)),
    Written(
        "registrar_policy",
        Kind.ROLE,
        registrar.registrar_policy(
            function="flotilla-dev-registrar", table_arn=TABLE, dead_letter_queue_arn=QUEUE, **PLACE
        ),
    ),
    Written(
        "authority_expiry_policy",
        Kind.ROLE,
        monitoring.authority_expiry_policy(function="flotilla-dev-authority-expiry", **PLACE),
    ),
    Written(
        "replication_policy",
        Kind.ROLE,
        firmware.replication_policy(
            source="flotilla-dev-home",
            source_region=REGION,
            source_key_arn=KEY.format(region=REGION),
            targets=[["flotilla-dev-there", "us-east-1", KEY.format(region="us-east-1")]],
        ),
    ),
    Written(
        "route_sweep_policy",
        Kind.ROLE,
        routing.route_sweep_policy(
            function="flotilla-dev-route-sweep", table_arn=ROUTES, zone_id=ZONE, domain=DOMAIN, **PLACE
        ),
    ),
    Written(
        "route_operator_policy",
        Kind.ROLE,
        routing.route_operator_policy(
            table_arn=ROUTES,
            zone_id=ZONE,
            domain=DOMAIN,
            clusters={REGION: "flotilla-dev-manifest", "us-east-1": "flotilla-dev-manifest"},
            account_id=ACCOUNT,
        ),
    ),
    Written("replication_trust", Kind.TRUST, firmware.replication_trust()),
    Written("function_trust", Kind.TRUST, trust.function_trust(account_id=ACCOUNT)),
    Written("rules_trust", Kind.TRUST, trust.rules_trust(rules="flotilla_dev_*", **PLACE)),
    Written("iot_logging_trust", Kind.TRUST, trust.iot_logging_trust(**PLACE)),
)
