"""One device that AWS will not have keeps nobody else out; what keeps everybody out is not asked for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from cryptography.hazmat.primitives.asymmetric import ec

import provisioning.registry.calls
from provisioning.cloud import Cloud
from provisioning.errors import CloudError
from provisioning.file_signer import FileSigner
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Reason
from provisioning.ledger.uploads import remember
from provisioning.registry.eager import Registered, Registration, register
from provisioning.registry.enrol import Enrolment, Place, PolicyBy
from provisioning.registry.setbacks import MOST_IN_A_ROW, Setbacks
from provisioning.signed_entry import Voucher
from provisioning.sync import Told, manifest_name, plan_sync, sync
from stacks.outputs import ClusterOutputs
from tests.provisioning.factory import Factory
from tests.provisioning.many import issue_many

VOUCHER = Voucher(FileSigner(ec.generate_private_key(ec.SECP256R1())))
DEVICES = 2 * MOST_IN_A_ROW


def refused(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "CreateThing")


BAD_DEVICE = refused("InvalidRequestException", 400)
NO_RIGHT = refused("AccessDeniedException", 403)
NO_NETWORK = EndpointConnectionError(endpoint_url="https://iot")


@dataclass
class Registry:
    """A registry that will not have some devices."""

    bad: dict[str, Exception]
    asked: list[str] = field(default_factory=list)

    def create_thing(self, *, thingName: str, **_: Any) -> dict[str, str]:  # noqa: N803  # the library's own name
        self.asked.append(thingName)
        if (error := self.bad.get(thingName)) is not None:
            raise error
        return {"thingName": thingName, "thingArn": "arn"}

    def register_certificate_without_ca(self, **_: Any) -> dict[str, str]:
        raise refused("ResourceAlreadyExistsException", 409)

    def describe_certificate(self, **_: Any) -> dict[str, Any]:
        return {"certificateDescription": {"certificateArn": "arn", "status": "ACTIVE"}}

    def attach_policy(self, **_: Any) -> dict[str, str]:
        return {}

    def attach_thing_principal(self, **_: Any) -> dict[str, str]:
        return {}

    def iot_once(self, _region: str) -> "Registry":
        return self


@dataclass(frozen=True)
class Line:
    """A ledger with devices that the cluster was told of."""

    ledger: Ledger
    issued: list[Identity]
    planned: Registration

    def run(self, registry: Registry) -> list[Registered | CloudError]:
        cloud = cast("Cloud", registry)
        rates = dict.fromkeys(("CreateThing", "DescribeCertificate", "AttachPolicy", "AttachThingPrincipal"), 1e6)
        rates["RegisterCertificateWithoutCA"] = 1e6
        return list(register((self.planned,), self.ledger, cloud, quotas=rates, clock=lambda: datetime.now(UTC)))


@pytest.fixture
def line(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(provisioning.registry.calls, "FIRST_WAIT_SECONDS", 0.0)
    with told(factory, DEVICES) as line:
        yield line


@contextmanager
def told(factory: Factory, count: int) -> Iterator[Line]:
    issued = issue_many(factory, count)
    facts = dict.fromkeys(ClusterOutputs.model_fields, "1") | {"region": "eu-north-1", "manifest_table": "manifest"}
    outputs = ClusterOutputs.model_validate(facts | {"max_connections": 1, "max_connects_per_second": 1})
    with Ledger.open(factory.folder, "dev") as ledger:
        remember(ledger, issued[:-1], manifest_name(outputs), at=datetime.now(UTC))
        place = Place(policy="device", group="", by=PolicyBy.CERTIFICATE)
        planned = Registration(cluster="eu1", outputs=outputs, count=count, place=place, ca_pems={})
        yield Line(ledger, issued, planned)


def outcomes(results: list[Registered | CloudError]) -> dict[str, Enrolment]:
    return {each.device: each.enrolled.outcome for each in results if isinstance(each, Registered)}


def test_devices_that_aws_refuses_are_set_aside_and_those_behind_them_are_registered(line: Line) -> None:
    bad = [identity.device for identity in line.issued[: MOST_IN_A_ROW + 1]]
    results = line.run(Registry(dict.fromkeys(bad, BAD_DEVICE)))
    assert not [each for each in results if isinstance(each, CloudError)]
    found = outcomes(results)
    assert {device for device, outcome in found.items() if outcome is Enrolment.FAILED} == set(bad)
    assert len(found) == DEVICES - 1, "all that the manifest was told of, however many fail before them"
    detail = next(each.enrolled.detail for each in results if isinstance(each, Registered) and each.device == bad[0])
    assert "set aside" in detail
    again = Registry({})
    assert set(outcomes(line.run(again))) == set(bad) == set(again.asked), "the next run tries them, and nobody else"


def test_what_the_manifest_was_not_told_of_is_not_registered_ahead(line: Line) -> None:
    registry = Registry({})
    line.run(registry)
    assert line.issued[-1].device not in registry.asked


@pytest.mark.parametrize("everybodys", [NO_RIGHT, NO_NETWORK], ids=["no right", "no network"])
def test_what_fails_for_everybody_ends_the_cluster(line: Line, everybodys: Exception) -> None:
    everybody = [identity.device for identity in line.issued]
    results = line.run(Registry(dict.fromkeys(everybody, everybodys)))
    assert isinstance(results[-1], CloudError)
    assert "cluster eu1: " in str(results[-1])
    assert "check credentials, rights and network" in str(results[-1])
    assert len(outcomes(results)) < DEVICES - 1, "the rest was left"


def test_one_that_goes_well_shows_that_it_is_not_everybody() -> None:
    setbacks = Setbacks()
    for _ in range(3):
        for _ in range(MOST_IN_A_ROW - 1):
            setbacks.note(NO_NETWORK)
        setbacks.went_well()
    setbacks.stop_if_all_fail("cluster eu1")
    for _ in range(MOST_IN_A_ROW):
        setbacks.note(NO_NETWORK)
    with pytest.raises(CloudError, match=f"cluster eu1: {MOST_IN_A_ROW} devices in a row failed"):
        setbacks.stop_if_all_fail("cluster eu1")


class Cluster:
    """Takes every entry of a manifest, and will not let go of one certificate."""

    def __init__(self, stuck: str) -> None:
        self.exceptions: Any = boto3.client("iot", region_name="eu-north-1").exceptions
        self._stuck = stuck

    def transact_write_items(self, **_: Any) -> dict[str, str]:
        return {}

    def describe_certificate(self, *, certificateId: str) -> dict[str, Any]:  # noqa: N803  # the library's own name
        if certificateId == self._stuck:
            raise BAD_DEVICE
        raise self.exceptions.ResourceNotFoundException({"Error": {}}, "DescribeCertificate")

    def iot(self, _region: str) -> "Cluster":
        return self

    dynamodb = iot_data = iot


def test_a_registration_that_cannot_be_taken_back_keeps_no_revocation_behind_it_waiting(line: Line) -> None:
    for identity in line.issued[:3]:
        line.ledger.revoke(identity.device, Reason.KEY_COMPROMISE, "", at=datetime.now(UTC))
    device = line.issued[0].device

    def told(stuck: str) -> dict[str, bool]:
        tasks = plan_sync(line.ledger, {"eu1": line.planned.outputs})
        cloud = cast("Cloud", Cluster(stuck))
        results = sync(tasks, line.ledger, cloud, VOUCHER, clock=lambda: datetime.now(UTC))
        return {each.device: bool(each.failure) for each in results if isinstance(each, Told)}

    remember(line.ledger, line.issued[-1:], manifest_name(line.planned.outputs), at=datetime.now(UTC))
    assert told(line.issued[0].fingerprint) == {device: True, **{each.device: False for each in line.issued[1:3]}}
    assert told("nobody") == {device: False}, "the next run takes up the one that was left"
