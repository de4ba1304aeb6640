"""Who may assume a role: one service, acting for this account, and for the named resources where AWS passes them on.

Without the conditions any customer of the service could have it act with our role: the confused deputy (AWS IAM User
Guide, "The confused deputy problem").
"""

from collections.abc import Sequence

from components.policies import arns
from components.policies.statement import Document, document

IOT_SERVICE = "iot.amazonaws.com"
LAMBDA_SERVICE = "lambda.amazonaws.com"
S3_SERVICE = "s3.amazonaws.com"


def service_trust(service: str, *, account_id: str, source_arns: Sequence[str]) -> Document:
    """The trust of a role that `service` assumes for the account's `source_arns`, which may hold `*`."""
    return document(
        {
            "Sid": "OnlyForThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": account_id},
                "ArnLike": {"aws:SourceArn": list(source_arns)},
            },
        }
    )


def function_trust(*, function: str, region: str, account_id: str) -> Document:
    """The trust of the role one Lambda function runs with."""
    source = arns.function(function, region=region, account_id=account_id)
    return service_trust(LAMBDA_SERVICE, account_id=account_id, source_arns=[source])


def rules_trust(*, rules: str, region: str, account_id: str) -> Document:
    """The trust of a role that topic rules assume; `rules` is the name of one, or holds `*`."""
    source = arns.topic_rule(rules, region=region, account_id=account_id)
    return service_trust(IOT_SERVICE, account_id=account_id, source_arns=[source])


def iot_logging_trust(*, region: str, account_id: str) -> Document:
    """The trust of the role AWS IoT writes its log with: no one resource stands behind it, so the region's IoT does."""
    source = f"arn:{arns.PARTITION}:iot:{region}:{account_id}:*"
    return service_trust(IOT_SERVICE, account_id=account_id, source_arns=[source])
