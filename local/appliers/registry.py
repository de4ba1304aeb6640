"""Every resource type the desk can apply."""

from collections.abc import Mapping

from local.appliers import (
    acm,
    cloudwatch,
    dynamodb,
    events,
    functions,
    glue,
    iam,
    iot,
    iot_rules,
    iot_settings,
    kinesis,
    kms,
    logs,
    route53,
    s3,
    s3_settings,
    sns,
    sqs,
)
from local.appliers.applier import Applier

_MODULES = (
    acm,
    cloudwatch,
    dynamodb,
    events,
    functions,
    glue,
    iam,
    iot,
    iot_rules,
    iot_settings,
    kinesis,
    kms,
    logs,
    route53,
    s3,
    s3_settings,
    sns,
    sqs,
)

APPLIERS: Mapping[str, Applier] = {token: applier for module in _MODULES for token, applier in module.APPLIERS.items()}
"""By type token."""
