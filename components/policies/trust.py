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


def service_trust(service: str, *, account_id: str, source_arns: Sequence[str] = ()) -> Document:
    """The trust of a role that `service` assumes for the account, and only for `source_arns` where any are given.

    The ARNs may hold `*`.
    """
    condition: dict[str, dict[str, object]] = {"StringEquals": {"aws:SourceAccount": account_id}}
    if source_arns:
        condition["ArnLike"] = {"aws:SourceArn": list(source_arns)}
    return document(
        {
            "Sid": "OnlyForThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
            "Condition": condition,
        }
    )


def function_trust(*, account_id: str) -> Document:
    """The trust of the role one Lambda function runs with.

    By account alone: that Lambda passes the function's ARN on is documented nowhere we could read, and a role that
    Lambda cannot assume is a function that cannot be created. Each function has a role of its own.
    """
    return service_trust(LAMBDA_SERVICE, account_id=account_id)


def rules_trust(*, rules: str, region: str, account_id: str) -> Document:
    """The trust of a role that topic rules assume; `rules` is the name of one, or holds `*`."""
    source = arns.topic_rule(rules, region=region, account_id=account_id)
    return service_trust(IOT_SERVICE, account_id=account_id, source_arns=[source])


def iot_logging_trust(*, region: str, account_id: str) -> Document:
    """The trust of the role AWS IoT writes its log with: no one resource stands behind it, so the region's IoT does."""
    source = f"arn:{arns.PARTITION}:iot:{region}:{account_id}:*"
    return service_trust(IOT_SERVICE, account_id=account_id, source_arns=[source])
