"""The cloud answers badly at the first, second and last attempt of every call of `sync`."""

from collections.abc import Iterator

import pytest

from local.deployment import Deployment
from tests.faults.cloudy import ATTEMPTS, Cloudy, clouded, in_turn
from tests.faults.faulty_proxy import Spoil
from tests.faults.judge import rows
from tests.provisioning.factory import Factory

pytestmark = pytest.mark.cloud

TAKING_BACK = (
    "TransactWriteItems",
    "DescribeCertificate",
    "UpdateCertificate",
    "ListAttachedPolicies",
    "DetachPolicy",
    "ListPrincipalThings",
    "DetachThingPrincipal",
)
"""What a revoked identity that was registered costs."""


@pytest.fixture
def cloudy(spoil: Spoil, factory: Factory, dev_desk: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloudy]:
    with clouded(factory, dev_desk, monkeypatch, spoil) as cloudy:
        yield cloudy


def fingerprints(cloudy: Cloudy, device: str) -> set[str]:
    return {row.fingerprint for row in rows(cloudy.factory) if row.device == device}


@pytest.mark.parametrize("attempts", ATTEMPTS)
@pytest.mark.parametrize("spoil", Spoil)
def test_a_new_identity_is_told(spoil: Spoil, attempts: int, cloudy: Cloudy) -> None:
    before, device = cloudy.held(), cloudy.issued()
    ran = cloudy.struck("TransactWriteItems", spoil, attempts, cloudy.sync)
    assert list(cloudy.broken(ran, before)) == []
    assert list(cloudy.unconverged(cloudy.sync)) == []
    assert fingerprints(cloudy, device) <= cloudy.manifest()


@pytest.mark.parametrize("attempts", ATTEMPTS)
@pytest.mark.parametrize("spoil", Spoil)
def test_what_the_manifest_holds_already_is_compared(spoil: Spoil, attempts: int, cloudy: Cloudy) -> None:
    before, device = cloudy.held(), cloudy.issued()
    assert cloudy.sync().code == 0
    ran = cloudy.struck("BatchGetItem", spoil, attempts, lambda: cloudy.sync("--again"))
    assert list(cloudy.broken(ran, before)) == []
    assert list(cloudy.unconverged(cloudy.sync)) == []
    assert fingerprints(cloudy, device) <= cloudy.manifest()


@pytest.mark.parametrize(("call", "spoil", "attempts"), in_turn(["ExecuteStatement"])[::2])
def test_nobody_is_told_before_it_is_known_that_no_other_identity_stands(
    call: str, spoil: Spoil, attempts: int, cloudy: Cloudy
) -> None:
    before, device = cloudy.held(), cloudy.issued()
    ran = cloudy.struck(call, spoil, attempts, cloudy.sync)
    assert list(cloudy.broken(ran, before)) == []
    assert ran.code == 0 or not fingerprints(cloudy, device) & cloudy.manifest()
    assert list(cloudy.unconverged(cloudy.sync)) == []
    assert fingerprints(cloudy, device) <= cloudy.manifest()


@pytest.mark.parametrize(("call", "spoil", "attempts"), in_turn(TAKING_BACK))
def test_a_registered_identity_is_taken_back(call: str, spoil: Spoil, attempts: int, cloudy: Cloudy) -> None:
    before, device = cloudy.held(), cloudy.issued()
    assert cloudy.eager().code == 0
    assert cloudy.factory.revoke(device).code == 0
    ran = cloudy.struck(call, spoil, attempts, cloudy.sync)
    assert list(cloudy.broken(ran, before)) == []
    assert list(cloudy.unconverged(cloudy.sync)) == []
    (fingerprint,) = fingerprints(cloudy, device)
    assert cloudy.certificates()[fingerprint] == "REVOKED"
    held = cloudy.connected.item("eu1", fingerprint)
    assert held is not None
    assert held["standing"] == "revoked"
    arn = cloudy.connected.client("iot", cloudy.region).describe_certificate(certificateId=fingerprint)[
        "certificateDescription"
    ]["certificateArn"]
    iot = cloudy.connected.client("iot", cloudy.region)
    assert iot.list_attached_policies(target=arn)["policies"] == []
    assert iot.list_principal_things(principal=arn)["things"] == []
