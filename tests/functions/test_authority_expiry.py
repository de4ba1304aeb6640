from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from functions.authority_expiry import AuthorityUnreadableError, days_left, publish_days_left
from tests.components.throwaway_authority import authority_pem

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ID_A = "a" * 64
ID_B = "b" * 64


def _client(service: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]  # the name is a parameter here
        region_name="eu-north-1",
        aws_access_key_id="unused",
        aws_secret_access_key="unused",  # noqa: S106  # a stubbed client signs nothing
    )


@pytest.fixture
def iot() -> Iterator[Stubber]:
    """AWS IoT that answers what a test queues, and checks both sides against the service's model."""
    with Stubber(_client("iot")) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def cloudwatch() -> Iterator[Stubber]:
    with Stubber(_client("cloudwatch")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def _knows(iot: Stubber, certificate_id: str, end: datetime) -> None:
    iot.add_response(
        "describe_ca_certificate",
        {"certificateDescription": {"certificateId": certificate_id, "certificatePem": authority_pem("CA", end)}},
        {"certificateId": certificate_id},
    )


def _expects(cloudwatch: Stubber, *data: tuple[str, float]) -> None:
    cloudwatch.add_response(
        "put_metric_data",
        {},
        {
            "Namespace": "Flotilla",
            "MetricData": [
                {
                    "MetricName": "AuthorityDaysLeft",
                    "Dimensions": [
                        {"Name": "Environment", "Value": "dev"},
                        {"Name": "Authority", "Value": authority},
                    ],
                    "Value": left,
                    "Unit": "Count",
                }
                for authority, left in data
            ],
        },
    )


def _publish(authorities: dict[str, str], iot: Stubber, cloudwatch: Stubber) -> dict[str, float]:
    clients: dict[str, Any] = {"iot": iot.client, "cloudwatch": cloudwatch.client}
    return publish_days_left(authorities=authorities, environment="dev", now=NOW, **clients)


@pytest.mark.parametrize(
    ("end", "left"),
    [
        (NOW + timedelta(days=400), 400.0),
        (NOW + timedelta(hours=12), 0.5),
        (NOW, 0.0),
        (NOW - timedelta(days=1), -1.0),
    ],
)
def test_days_left_counts_down_through_the_end(end: datetime, left: float) -> None:
    assert days_left(end, NOW) == left


def test_every_authority_is_published_in_one_call(iot: Stubber, cloudwatch: Stubber) -> None:
    _knows(iot, ID_A, NOW + timedelta(days=400))
    _knows(iot, ID_B, NOW + timedelta(days=30))
    _expects(cloudwatch, ("line-a", 400.0), ("line-b", 30.0))
    assert _publish({"line-b": ID_B, "line-a": ID_A}, iot, cloudwatch) == {"line-a": 400.0, "line-b": 30.0}


def test_an_authority_that_cannot_be_read_is_an_error_that_does_not_hide_the_others(
    iot: Stubber, cloudwatch: Stubber
) -> None:
    iot.add_client_error("describe_ca_certificate", "ResourceNotFoundException", "no such CA")
    _knows(iot, ID_B, NOW + timedelta(days=30))
    _expects(cloudwatch, ("line-b", 30.0))
    with pytest.raises(AuthorityUnreadableError, match=rf"line-a \({ID_A}\).*no such CA"):
        _publish({"line-a": ID_A, "line-b": ID_B}, iot, cloudwatch)


@pytest.mark.parametrize("description", [{"certificateId": ID_A}, {"certificatePem": "no certificate"}])
def test_an_answer_without_a_certificate_is_an_error_and_not_a_number(
    description: dict[str, str], iot: Stubber, cloudwatch: Stubber
) -> None:
    iot.add_response("describe_ca_certificate", {"certificateDescription": description})
    with pytest.raises(AuthorityUnreadableError, match="line-a"):
        _publish({"line-a": ID_A}, iot, cloudwatch)


def test_without_authorities_nothing_is_published(iot: Stubber, cloudwatch: Stubber) -> None:
    assert _publish({}, iot, cloudwatch) == {}
