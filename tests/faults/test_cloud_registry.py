"""The cloud answers badly at each call of `sync --eager`, of `reconcile`, and of an authority whose key is in KMS."""

from collections.abc import Iterator

import pytest

from local.deployment import Deployment
from tests.faults.cloudy import ALWAYS, ATTEMPTS, Cloudy, clouded
from tests.faults.faulty_proxy import Spoil
from tests.faults.judge import broken_rules, rows
from tests.provisioning.connected import BOTH_LINES
from tests.provisioning.factory import Factory, Finished, provisioning
from tests.provisioning.registry.test_eager import FAST
from tests.provisioning.requests import csr, p256

pytestmark = pytest.mark.cloud

REGISTERING = ("CreateThing", "RegisterCertificateWithoutCA", "AttachPolicy", "AttachThingPrincipal")
"""What a new device costs."""


@pytest.fixture
def cloudy(spoil: Spoil, factory: Factory, dev_desk: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloudy]:
    with clouded(factory, dev_desk, monkeypatch, spoil) as cloudy:
        yield cloudy


@pytest.mark.parametrize("attempts", ATTEMPTS)
@pytest.mark.parametrize("spoil", Spoil)
@pytest.mark.parametrize(
    "call", ["CreateThing", "RegisterCertificateWithoutCA", "AttachPolicy", "AttachThingPrincipal"]
)
def test_an_identity_is_registered_ahead(call: str, spoil: Spoil, attempts: int, cloudy: Cloudy) -> None:
    before, device = cloudy.held(), cloudy.issued()
    assert cloudy.sync().code == 0
    ran = cloudy.struck(call, spoil, attempts, cloudy.eager)
    assert list(cloudy.broken(ran, before)) == []
    assert list(cloudy.unconverged(cloudy.eager)) == []
    (fingerprint,) = {row.fingerprint for row in rows(cloudy.factory) if row.device == device}
    assert cloudy.certificates()[fingerprint] == "ACTIVE"
    iot = cloudy.connected.client("iot", cloudy.region)
    assert len(iot.list_thing_principals(thingName=device)["principals"]) == 1


@pytest.mark.parametrize("attempts", [ALWAYS])
@pytest.mark.parametrize("spoil", [Spoil.THROTTLED, Spoil.GARBLED])
@pytest.mark.parametrize("call", ["Scan", "ListCertificates", "ListThings", "ListTargetsForPolicy"])
def test_a_comparison_says_nothing_of_what_it_could_not_read(
    call: str, spoil: Spoil, attempts: int, cloudy: Cloudy
) -> None:
    device = cloudy.issued()
    assert cloudy.eager().code == 0

    def reconcile() -> Finished:
        return provisioning(
            *("reconcile", "--stack", "dev", "--outputs", cloudy.connected.outputs, "--factory", cloudy.factory.folder),
            *("--authorities", cloudy.factory.authorities, "--json"),
            *FAST,
            variables=cloudy.variables,
        )

    cloudy.proxy.arm(call, cloudy.region, spoil, attempts)
    ran = reconcile()
    assert cloudy.proxy.spoilt
    assert "Traceback" not in ran.err
    assert device not in [row["device"] for row in ran.json["differences"]], "nothing is made up"
    if attempts == ALWAYS:
        assert ran.code == 1
        assert "cluster eu1" in ran.err
    cloudy.proxy.rest()
    assert device not in [row["device"] for row in reconcile().json["differences"]]


@pytest.mark.parametrize("attempts", ATTEMPTS)
@pytest.mark.parametrize("spoil", Spoil)
@pytest.mark.parametrize("call", ["GetPublicKey", "Sign"])
def test_an_authority_in_kms_signs(
    call: str, spoil: Spoil, attempts: int, cloudy: Cloudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ("--outputs", cloudy.connected.outputs)
    held = cloudy.factory.ceremony(BOTH_LINES, *more, variables=cloudy.connected.variables)
    assert held.code == 0, held.err
    request = cloudy.factory.home / "device.csr.pem"
    request.write_bytes(csr(p256()))
    order = cloudy.factory.order("device-k", "--csr", request, *more, authority="line-b", model="fl100")
    region = cloudy.connected.desk.outputs.authorities["line-b"].key_region or ""
    ran = cloudy.struck(call, spoil, attempts, lambda: provisioning(*order, variables=cloudy.variables), region=region)
    assert broken_rules(cloudy.factory, [ran], device="device-k") == []
    prepared = [row for row in rows(cloudy.factory) if row.device == "device-k"]
    assert bool(prepared) == (call == "Sign" or ran.code == 0), "the intent is on the disk before KMS is asked to sign"
    cloudy.proxy.rest()
    for name, value in cloudy.variables.items():
        monkeypatch.setenv(name, value)
    rerun = provisioning(*order, variables=cloudy.variables)
    assert rerun.code == 0, rerun.err
    cloudy.proxy.rest()
    third = provisioning(*order, variables=cloudy.variables)
    assert (third.code, third.out) == (0, rerun.out)
    assert "Sign" not in cloudy.proxy.seen, "what is signed is not signed again"
