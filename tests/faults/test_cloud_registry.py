"""The cloud answers badly at each call of `sync --eager`, of `reconcile`, and of an authority whose key is in KMS."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from local.deployment import Deployment
from tests.faults.cloudy import ALWAYS, ATTEMPTS, Cloudy, clouded, in_turn
from tests.faults.faulty_proxy import Spoil
from tests.faults.judge import broken_rules, rows
from tests.provisioning.connected import BOTH_LINES
from tests.provisioning.factory import Factory, provisioning
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
@pytest.mark.parametrize("call", REGISTERING)
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


@pytest.mark.parametrize(
    ("call", "spoil", "attempts"),
    in_turn(["DescribeThing", "DescribeCertificate", "AddThingToThingGroup"]),
)
def test_an_identity_of_which_a_part_stands_is_registered_ahead(
    call: str, spoil: Spoil, attempts: int, cloudy: Cloudy
) -> None:
    """Its thing is there from an earlier identity, and somebody registered its certificate."""
    before, device = cloudy.held(), cloudy.issued()
    iot = cloudy.connected.client("iot", cloudy.region)
    iot.create_thing(thingName=device, thingTypeName="fl50", attributePayload={"attributes": {"model": "fl50"}})
    pem = cloudy.factory.chain(device)[0].public_bytes(Encoding.PEM).decode()
    iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")
    assert cloudy.sync().code == 0
    ran = cloudy.struck(call, spoil, attempts, lambda: cloudy.eager("group"))
    assert list(cloudy.broken(ran, before)) == []
    assert list(cloudy.unconverged(lambda: cloudy.eager("group"))) == []
    assert cloudy.certificates()[cloudy.connected.fingerprint(device)] == "ACTIVE"
    assert len(iot.list_thing_principals(thingName=device)["principals"]) == 1
    assert iot.list_thing_groups_for_thing(thingName=device)["thingGroups"], "from where it has its policy"


LISTS = (
    *("Scan", "ListCertificates", "ListThings", "ListTargetsForPolicy"),
    *("DescribeThingGroup", "ListAttachedPolicies", "ListThingsInThingGroup", "ListThingPrincipals"),
)


@pytest.mark.parametrize(
    ("call", "spoil"),
    [(call, (Spoil.THROTTLED, Spoil.GARBLED)[number % 2]) for number, call in enumerate((*LISTS, *LISTS[1:4]))],
)
def test_a_comparison_says_nothing_of_what_it_could_not_read(call: str, spoil: Spoil, cloudy: Cloudy) -> None:
    device = cloudy.issued()
    assert cloudy.eager().code == 0
    cloudy.proxy.arm(call, cloudy.region, spoil, ALWAYS)
    ran = cloudy.reconcile()
    assert cloudy.proxy.spoilt
    assert "Traceback" not in ran.err
    assert device not in [row["device"] for row in ran.json["differences"]], "nothing is made up"
    assert ran.code == 1
    assert "cluster eu1" in ran.err
    cloudy.proxy.rest()
    assert device not in [row["device"] for row in cloudy.reconcile().json["differences"]]


@pytest.mark.parametrize(("call", "spoil", "attempts"), in_turn(["PutItem", "TransactWriteItems"])[::2])
def test_a_repair_is_told_as_done_only_when_it_is(call: str, spoil: Spoil, attempts: int, cloudy: Cloudy) -> None:
    """The manifest lost a row, or its signature."""
    device = cloudy.issued()
    assert cloudy.eager().code == 0
    cluster = cloudy.connected.desk.outputs.clusters["eu1"]
    table, fingerprint = cloudy.connected.client("dynamodb", cluster.region), cloudy.connected.fingerprint(device)
    held = cloudy.connected.item("eu1", fingerprint)
    assert held is not None
    if call == "PutItem":
        item = {name: {"S": value} for name, value in {**held, "signature": "AAAA"}.items()}
        table.put_item(TableName=cluster.manifest_table, Item=item)
    else:
        table.delete_item(TableName=cluster.manifest_table, Key={"fingerprint": {"S": fingerprint}})
    cloudy.proxy.arm(call, cloudy.region, spoil, attempts)
    ran = cloudy.reconcile("--repair")
    assert cloudy.proxy.spoilt
    assert "Traceback" not in ran.err
    told = {row["repair"] for row in ran.json["differences"] if row["device"] == device}
    assert told <= {"mended", "failed"}
    if told != {"mended"}:
        assert ran.code == 1
        assert "cluster eu1" in ran.err
    cloudy.proxy.rest()
    cloudy.reconcile("--repair")
    assert device not in [row["device"] for row in cloudy.reconcile().json["differences"]]
    assert cloudy.connected.item("eu1", fingerprint), "with a signature that the comparison has verified"


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
