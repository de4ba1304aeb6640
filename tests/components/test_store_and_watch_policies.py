"""What registrar, replication and alarms may do, and above all what they may not."""

from typing import Any

from components.policies.firmware import firmware_key_policy, replication_policy, replication_trust
from components.policies.monitoring import alarm_key_policy, alarm_topic_policy, authority_expiry_policy
from components.policies.registrar import registrar_policy

ACCOUNT = "111122223333"
REGION = "eu-north-1"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:letters"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/manifest"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"

REGISTRAR = registrar_policy(
    function="registrar", table_arn=TABLE, dead_letter_queue_arn=QUEUE, region=REGION, account_id=ACCOUNT
)
REPLICATION = replication_policy(
    source="home",
    source_region=REGION,
    source_key_arn="key-home",
    targets=[["there", "us-east-1", "key-there"], ["far", "ap-southeast-2", "key-far"]],
)


def actions(document: dict[str, Any]) -> set[str]:
    return {action for statement in document["Statement"] for action in statement["Action"]}


def by_sid(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {statement["Sid"]: statement for statement in document["Statement"]}
    assert len(found) == len(document["Statement"]), "a statement id is used once"
    return found


def test_the_registrar_does_these_things_and_no_other() -> None:
    assert actions(REGISTRAR) == {
        "dynamodb:GetItem",
        "iot:DescribeCertificate",
        "iot:UpdateCertificate",
        "iot:AttachPolicy",
        "iot:CreateThing",
        "iot:DescribeThing",
        "iot:DescribeThingType",
        "iot:AttachThingPrincipal",
        "iot:ListThingPrincipals",
        "sqs:SendMessage",
        "cloudwatch:PutMetricData",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


def test_the_registrar_reads_one_table_and_touches_every_resource_only_where_aws_has_nothing_narrower() -> None:
    statements = by_sid(REGISTRAR)
    assert statements["ReadManifest"]["Resource"] == [TABLE]
    assert {sid for sid, statement in statements.items() if "*" in statement["Resource"]} == {
        "AttachThing",
        "PublishMetrics",
    }
    assert statements["PublishMetrics"]["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Flotilla"}}


def test_replication_reads_at_home_and_writes_elsewhere_and_deletes_nowhere() -> None:
    assert not {action for action in actions(REPLICATION) if "Delete" in action or action.startswith("s3:Put")}
    statements = by_sid(REPLICATION)
    assert statements["ReadVersions"]["Resource"] == ["arn:aws:s3:::home/*"]
    assert statements["WriteReplicas"]["Resource"] == ["arn:aws:s3:::there/*", "arn:aws:s3:::far/*"]


def test_each_key_of_replication_is_used_for_its_own_bucket_in_its_own_region() -> None:
    statements = by_sid(REPLICATION)
    for sid, action, key, bucket, region in (
        ("DecryptAtHome", "kms:Decrypt", "key-home", "home", REGION),
        ("EncryptInUsEast1", "kms:Encrypt", "key-there", "there", "us-east-1"),
        ("EncryptInApSoutheast2", "kms:Encrypt", "key-far", "far", "ap-southeast-2"),
    ):
        assert (statements[sid]["Action"], statements[sid]["Resource"]) == ([action], [key])
        assert statements[sid]["Condition"] == {
            "StringEquals": {
                "kms:ViaService": f"s3.{region}.amazonaws.com",
                "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}",
            }
        }


def test_only_s3_replicates() -> None:
    (statement,) = replication_trust()["Statement"]
    assert (statement["Principal"], statement["Action"]) == ({"Service": "s3.amazonaws.com"}, "sts:AssumeRole")


def test_only_alarms_of_this_account_and_region_publish() -> None:
    grants = [
        statement
        for statement in alarm_topic_policy(topic_arn=TOPIC, region=REGION, account_id=ACCOUNT)["Statement"]
        if statement["Effect"] == "Allow"
    ]
    (grant,) = grants
    assert grant["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert grant["Resource"] == [TOPIC]
    assert grant["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:*"},
    }


def test_no_key_policy_lets_an_administrator_use_the_key() -> None:
    for document in (
        firmware_key_policy(account_id=ACCOUNT, region=REGION),
        alarm_key_policy(account_id=ACCOUNT),
    ):
        administration = set(by_sid(document)["Administer"]["Action"])
        assert not administration & {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:Sign", "kms:*"}
        assert {"kms:EnableKeyRotation", "kms:DisableKeyRotation"} <= actions(document), "keys here are rotated"


def test_firmware_is_decrypted_through_s3_only() -> None:
    use = by_sid(firmware_key_policy(account_id=ACCOUNT, region=REGION))["UseThroughS3"]
    assert use["Condition"]["StringEquals"] == {
        "kms:ViaService": f"s3.{REGION}.amazonaws.com",
        "kms:CallerAccount": ACCOUNT,
    }


def test_the_watch_over_authorities_only_reads_them() -> None:
    document = authority_expiry_policy(function="watch", region=REGION, account_id=ACCOUNT)
    assert {action for action in actions(document) if action.startswith("iot:")} == {"iot:DescribeCACertificate"}
