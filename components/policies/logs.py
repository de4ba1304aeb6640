"""Who writes the logs that AWS services keep for us."""

from components.policies import arns
from components.policies.statement import Document, allow, allow_principal, document

IOT_LOG_GROUP = "AWSIotLogsV2"
"""The log group AWS IoT writes to; its name cannot be chosen (AWS IoT Developer Guide, "CloudWatch Logs")."""


def iot_logging_policy(*, region: str, account_id: str) -> Document:
    """What AWS IoT may do to log: write to its group, which this program makes."""
    group = arns.log_group(IOT_LOG_GROUP, region=region, account_id=account_id)
    return document(allow("WriteIotLog", ["logs:CreateLogStream", "logs:PutLogEvents"], [group]))


def query_log_policy(*, log_group: str, region: str, account_id: str) -> Document:
    """What Route 53 may do to log queries, in the policy CloudWatch Logs keeps for services."""
    return document(
        allow_principal(
            "WriteQueryLog",
            {"Service": "route53.amazonaws.com"},
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [arns.log_group(log_group, region=region, account_id=account_id)],
            condition={
                "StringEquals": {"aws:SourceAccount": account_id},
                "ArnLike": {"aws:SourceArn": f"arn:{arns.PARTITION}:route53:::hostedzone/*"},
            },
        )
    )
