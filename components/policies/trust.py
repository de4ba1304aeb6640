"""Who may assume a role: one service, acting for this account, and for the named resources where AWS passes them on.

Without the conditions any customer of the service could have it act with our role: the confused deputy (AWS IAM User
Guide, "The confused deputy problem").
"""

from collections.abc import Sequence

from components.policies.statement import Document, document

IOT_SERVICE = "iot.amazonaws.com"
LAMBDA_SERVICE = "lambda.amazonaws.com"
S3_SERVICE = "s3.amazonaws.com"


def service_trust(service: str, *, account_id: str, source_arns: Sequence[str]) -> Document:
    """The trust of a role that `service` assumes for the resources `source_arns` (which may hold `*`) of the account."""
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
