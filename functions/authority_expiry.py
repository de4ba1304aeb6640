"""Tells the operator, once a day, how long each issuing authority's CA certificate still lives.

AWS IoT publishes no metric for the end of a CA certificate, and a CA that ends takes every device it signed with it.
Metric `AuthorityDaysLeft`, namespace `Flotilla`, dimensions Environment and Authority; an alarm reads it.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.certificate import read_certificate
from functions.clients import client
from functions.log import log
from functions.metrics import NAMESPACE

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_iot import IoTClient

METRIC = "AuthorityDaysLeft"


class AuthorityUnreadableError(Exception):
    """A CA certificate cannot be read from AWS IoT; names the authority, the id and the way out."""


def handler(_event: object, _context: object) -> dict[str, float]:
    """The Lambda's entry. Environment: AUTHORITIES (JSON, authority to CA certificate id) and ENVIRONMENT."""
    days = publish_days_left(
        authorities=json.loads(os.environ["AUTHORITIES"]),
        environment=os.environ["ENVIRONMENT"],
        now=datetime.now(UTC),
        iot=client("iot"),
        cloudwatch=client("cloudwatch"),
    )
    log("authorities-read", days_left=days)
    return days


def publish_days_left(
    *,
    authorities: Mapping[str, str],
    environment: str,
    now: datetime,
    iot: "IoTClient",
    cloudwatch: "CloudWatchClient",
) -> dict[str, float]:
    """Publish the days left of every authority and return them; run again, it publishes the same facts again.

    An authority that cannot be read does not hide the others: they are published first, then `AuthorityUnreadableError`
    is raised, which the function's own alarm shows. Its missing metric breaches the expiry alarm as well.
    """
    days: dict[str, float] = {}
    unreadable: list[str] = []
    for authority, certificate_id in sorted(authorities.items()):
        try:
            days[authority] = days_left(read_end(iot, certificate_id), now)
        except (ClientError, KeyError, ValueError) as error:
            unreadable.append(f"{authority} ({certificate_id}): {error}")
    if days:
        cloudwatch.put_metric_data(
            Namespace=NAMESPACE, MetricData=[metric(environment, authority, left) for authority, left in days.items()]
        )
    if unreadable:
        raise AuthorityUnreadableError(
            f"AWS IoT does not show the CA certificate of {'; '.join(unreadable)}. Deploy the environment again."
        )
    return days


def read_end(iot: "IoTClient", certificate_id: str) -> datetime:
    """The `notAfter` of a registered CA certificate, in the certificate itself; `KeyError` when it is not answered."""
    answer = iot.describe_ca_certificate(certificateId=certificate_id)
    return read_certificate(answer["certificateDescription"]["certificatePem"]).not_after


def days_left(end: datetime, now: datetime) -> float:
    """Days until `end`, negative after it."""
    return (end - now) / timedelta(days=1)


def metric(environment: str, authority: str, left: float) -> Any:
    """One datum for `put_metric_data`."""
    return {
        "MetricName": METRIC,
        "Dimensions": [{"Name": "Environment", "Value": environment}, {"Name": "Authority", "Value": authority}],
        "Value": left,
        "Unit": "Count",
    }
