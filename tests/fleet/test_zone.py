"""What the applier relies on of Route 53, held by the embedded one and by the one in memory; and what failures mean."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.stub import Stubber

from fleet.errors import UnfinishedError
from fleet.routing.record_set import RecordSet
from fleet.routing.route53_zone import Route53Zone
from fleet.routing.zone import (
    MAX_PAGE_RECORD_SETS,
    Create,
    Delete,
    Upsert,
    Zone,
    ZoneRefusedError,
    ZoneReplyLostError,
    ZoneThrottledError,
    ZoneUnknownChangeError,
)
from local.account import ACCOUNT, SECRET_ACCESS_KEY
from local.aws_environment import aws_environment
from local.deployment import Deployment
from tests.fleet.memory_zone import MemoryZone, SimulatedTime

if TYPE_CHECKING:
    from mypy_boto3_route53 import Route53Client

_number = count()


class UnhurriedZone(MemoryZone):
    """Waits before each request, so that these tests need not."""

    def _count(self) -> None:
        self.time.sleep(1)
        super()._count()


def desk_client(deployment: Deployment) -> "Route53Client":
    variables = aws_environment(deployment.record)
    return boto3.client(
        "route53",
        region_name="us-east-1",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module", params=["route53", "memory"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Zone, str]]:
    """A zone and its domain."""
    if request.param == "memory":
        yield UnhurriedZone(SimulatedTime()), "iot.example.com"
        return
    deployment: Deployment = request.getfixturevalue("dev_desk")
    yield Route53Zone(desk_client(deployment), deployment.outputs.zone_id), deployment.outputs.domain


def record(domain: str, value: str = "eu1", kind: str = "CNAME", name: str = "") -> RecordSet:
    label = name or f"contract-{next(_number):04d}"
    values = (f"{value}.clusters.{domain}",) if kind == "CNAME" else (value,)
    return RecordSet(f"{label}.gw.{domain}", kind, 60, values)


def standing(zone: Zone, name: str) -> set[RecordSet]:
    return {records for records in zone.page(name).record_sets if records.name == name}


def test_records_are_created_read_back_and_deleted(place: tuple[Zone, str]) -> None:
    zone, domain = place
    alias, address = record(domain), record(domain, "192.0.2.7", "A")
    six = RecordSet(address.name, "AAAA", 60, ("2001:db8::7",))
    zone.change([Create(alias), Create(address), Create(six)])
    assert standing(zone, alias.name) == {alias}
    assert standing(zone, address.name) == {address, six}
    zone.change([Delete(alias), Delete(address), Delete(six)])
    assert standing(zone, alias.name) == standing(zone, address.name) == set()


@pytest.mark.parametrize("second", ["the same", "another value"])
def test_what_stands_is_not_created_again_and_the_batch_is_refused_whole(place: tuple[Zone, str], second: str) -> None:
    zone, domain = place
    here, fresh = record(domain), record(domain)
    zone.change([Create(here)])
    again = here if second == "the same" else RecordSet(here.name, "CNAME", 60, (f"us1.clusters.{domain}",))
    with pytest.raises(ZoneRefusedError, match="already exists"):
        zone.change([Create(fresh), Create(again)])
    assert standing(zone, here.name) == {here}
    assert standing(zone, fresh.name) == set()
    zone.change([Delete(here)])


def test_what_does_not_stand_exactly_so_is_not_deleted(place: tuple[Zone, str]) -> None:
    zone, domain = place
    here = record(domain)
    zone.change([Create(here)])
    for wrong in (
        RecordSet(here.name, "CNAME", 300, here.values),
        RecordSet(here.name, "CNAME", 60, (f"us1.clusters.{domain}",)),
        record(domain),
    ):
        with pytest.raises(ZoneRefusedError):
            zone.change([Delete(wrong)])
    assert standing(zone, here.name) == {here}
    zone.change([Delete(here)])


def test_a_device_changes_its_target_in_one_batch_and_its_type_too(place: tuple[Zone, str]) -> None:
    zone, domain = place
    before = record(domain)
    after = RecordSet(before.name, "CNAME", 60, (f"us1.clusters.{domain}",))
    gateway = RecordSet(before.name, "A", 60, ("192.0.2.8",))
    zone.change([Create(before)])
    zone.change([Delete(before), Create(after)])
    assert standing(zone, before.name) == {after}
    zone.change([Delete(after), Create(gateway)])
    assert standing(zone, before.name) == {gateway}
    zone.change([Delete(gateway)])


def test_an_upsert_proves_what_stands_without_changing_it(place: tuple[Zone, str]) -> None:
    zone, domain = place
    here = record(domain)
    zone.change([Create(here)])
    change_id = zone.change([Upsert(here)])
    assert change_id
    assert standing(zone, here.name) == {here}
    zone.change([Delete(here)])


def test_a_change_comes_into_sync_and_one_that_was_never_made_is_unknown(place: tuple[Zone, str]) -> None:
    zone, domain = place
    here = record(domain)
    change_id = zone.change([Create(here)])
    assert any(zone.is_in_sync(change_id) for _ in range(100)), "within a hundred looks"
    with pytest.raises(ZoneUnknownChangeError):
        zone.is_in_sync("/change/C0000000000000NEVER")
    zone.change([Delete(here)])


def test_a_long_zone_is_read_in_pages_from_any_name_on(place: tuple[Zone, str]) -> None:
    zone, domain = place
    many = [record(domain, name=f"paged{number:04d}") for number in range(MAX_PAGE_RECORD_SETS + 50)]
    zone.change([Create(each) for each in many])
    first = zone.page(many[0].name)
    assert list(first.record_sets) == many[:MAX_PAGE_RECORD_SETS]
    assert (first.next_name, first.next_type) == (many[MAX_PAGE_RECORD_SETS].name, "CNAME")
    assert first.next_name is not None
    rest = zone.page(first.next_name, first.next_type)
    assert list(rest.record_sets[:50]) == many[MAX_PAGE_RECORD_SETS:]
    zone.change([Delete(each) for each in many])


def test_the_wildcard_is_read_by_its_own_name_and_sets_that_choose_are_told_apart(dev_desk: Deployment) -> None:
    client = desk_client(dev_desk)
    zone, domain = Route53Zone(client, dev_desk.outputs.zone_id), dev_desk.outputs.domain
    latency: Any = {
        "Name": f"choosing.{domain}",
        "Type": "CNAME",
        "TTL": 60,
        "SetIdentifier": "eu",
        "Region": "eu-north-1",
        "ResourceRecords": [{"Value": f"eu1.clusters.{domain}"}],
    }
    batch: Any = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": latency}]}
    client.change_resource_record_sets(HostedZoneId=dev_desk.outputs.zone_id, ChangeBatch=batch)
    try:
        page = zone.page(domain)
        assert f"*.gw.{domain}" in {records.name for records in page.record_sets}
        assert (f"choosing.{domain}", "CNAME") in page.others
        assert f"choosing.{domain}" not in {records.name for records in page.record_sets}
    finally:
        batch["Changes"][0]["Action"] = "DELETE"
        client.change_resource_record_sets(HostedZoneId=dev_desk.outputs.zone_id, ChangeBatch=batch)


@pytest.fixture
def client() -> "Route53Client":
    """One that never sends anything."""
    return boto3.client(
        "route53", region_name="us-east-1", aws_access_key_id=ACCOUNT, aws_secret_access_key=SECRET_ACCESS_KEY
    )


def asked(client: "Route53Client") -> list[Callable[[], object]]:
    zone, here = Route53Zone(client, "Z1"), RecordSet("a.gw.iot.example.com", "A", 60, ("192.0.2.1",))
    return [lambda: zone.change([Create(here)]), lambda: zone.is_in_sync("C1"), lambda: zone.page("a")]


METHODS = ("change_resource_record_sets", "get_change", "list_resource_record_sets")


@pytest.mark.parametrize(
    ("code", "status", "means"),
    [
        ("Throttling", 400, ZoneThrottledError),
        ("ThrottlingException", 400, ZoneThrottledError),
        ("PriorRequestNotComplete", 400, ZoneThrottledError),
        ("InvalidChangeBatch", 400, ZoneRefusedError),
        ("NoSuchChange", 404, ZoneUnknownChangeError),
        ("ServiceUnavailable", 503, ZoneReplyLostError),
        ("InternalFailure", 500, ZoneReplyLostError),
        ("AccessDenied", 403, UnfinishedError),
        ("NoSuchHostedZone", 404, UnfinishedError),
    ],
)
def test_an_error_of_route_53_says_whether_anything_was_done(
    client: "Route53Client", code: str, status: int, means: type[Exception]
) -> None:
    for method, ask in zip(METHODS, asked(client), strict=True):
        with Stubber(client) as stub:
            stub.add_client_error(method, service_error_code=code, service_message="why", http_status_code=status)
            with pytest.raises(means, match="why"):
                ask()


@pytest.mark.parametrize(
    ("failure", "means"),
    [
        (EndpointConnectionError(endpoint_url="u"), ZoneThrottledError),
        (ConnectTimeoutError(endpoint_url="u"), ZoneThrottledError),
        (ReadTimeoutError(endpoint_url="u"), ZoneReplyLostError),
        (ConnectionClosedError(endpoint_url="u"), ZoneReplyLostError),
        (NoCredentialsError(), UnfinishedError),
    ],
)
def test_a_request_that_was_not_answered_is_lost_only_if_it_may_have_arrived(
    client: "Route53Client", failure: Exception, means: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise failure

    monkeypatch.setattr(client, "_make_api_call", fail)
    for ask in asked(client):
        with pytest.raises(means):
            ask()


def test_an_answer_without_its_fields_is_no_answer(client: "Route53Client", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_make_api_call", lambda *_arguments, **_named: {})
    for ask in asked(client):
        with pytest.raises(ZoneReplyLostError, match="which cannot be relied on"):
            ask()
