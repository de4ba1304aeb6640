"""Who may raise an alarm, and what the function that watches CA certificates may do."""

from components.policies import arns
from components.policies.function import publish_metrics, write_own_log
from components.policies.keys import administer, rotate
from components.policies.statement import Document, allow, allow_principal, document
from components.policies.transport import deny_plaintext

CLOUDWATCH_SERVICE = "cloudwatch.amazonaws.com"
_THIS_KEY = ["*"]


def alarm_topic_policy(*, topic_arn: str, region: str, account_id: str) -> Document:
    """The policy of the alarm topic: alarms of this account and region publish, all of it over TLS."""
    return document(
        deny_plaintext("sns:Publish", topic_arn),
        allow_principal(
            "PublishAlarms",
            {"Service": CLOUDWATCH_SERVICE},
            ["sns:Publish"],
            [topic_arn],
            condition={
                "StringEquals": {"aws:SourceAccount": account_id},
                "ArnLike": {"aws:SourceArn": f"arn:{arns.PARTITION}:cloudwatch:{region}:{account_id}:alarm:*"},
            },
        ),
    )


def alarm_key_policy(*, account_id: str) -> Document:
    """The key of the alarm topic. CloudWatch cannot use AWS's own SNS key (CloudWatch User Guide, alarm actions)."""
    return document(
        administer(account_id),
        rotate(account_id),
        allow_principal(
            "EncryptAlarms",
            {"Service": CLOUDWATCH_SERVICE},
            ["kms:Decrypt", "kms:GenerateDataKey"],
            _THIS_KEY,
            condition={"StringEquals": {"aws:SourceAccount": account_id}},
        ),
    )


def authority_expiry_policy(*, function: str, region: str, account_id: str) -> Document:
    """Read registered CA certificates, publish the days they have left."""
    authorities = [f"arn:{arns.PARTITION}:iot:{region}:{account_id}:cacert/*"]
    return document(
        allow("ReadAuthorities", ["iot:DescribeCACertificate"], authorities),
        publish_metrics(),
        write_own_log(function, region=region, account_id=account_id),
    )
