"""Authorities whose keys are in KMS, on the embedded AWS."""

from pathlib import Path

import pytest
from cryptography import x509

from provisioning.kms_signer import KmsSigner
from stacks.outputs import Outputs
from tests.provisioning.connected import BOTH_LINES, UNREACHABLE, Connected
from tests.provisioning.factory import provisioning
from tests.provisioning.requests import csr, p256

pytestmark = pytest.mark.cloud


def kms_signer(connected: Connected) -> KmsSigner:
    authority = connected.desk.outputs.authorities["line-b"]
    assert authority.key_arn is not None
    assert authority.key_region is not None
    return KmsSigner.of(connected.client("kms", authority.key_region), authority.key_arn)


def test_an_authority_in_kms_is_made_once_and_issues(connected: Connected) -> None:
    factory = connected.factory
    more = ("--outputs", connected.outputs)
    held = factory.ceremony(BOTH_LINES, *more, variables=connected.variables)
    assert held.code == 0, held.err
    assert [(row["authority"], row["result"]) for row in held.json["authorities"]] == [
        ("root", "kept"),
        ("line-a", "kept"),
        ("line-b", "made"),
    ]
    again = factory.ceremony(BOTH_LINES, *more, variables=connected.variables)
    assert [row["result"] for row in again.json["authorities"]] == ["kept", "kept", "kept"]
    assert not (factory.folder / "line-b.key.pem").exists()
    request = factory.home / "device.csr.pem"
    request.write_bytes(csr(p256()))
    order = factory.order("device-k", "--csr", request, *more, authority="line-b", model="fl100")
    issued = provisioning(*order, variables=connected.variables)
    assert issued.code == 0, issued.err
    certificate, issuer = factory.chain("device-k")
    root = x509.load_pem_x509_certificate((factory.folder / "root.pem").read_bytes())
    certificate.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)
    assert issuer.public_key() == kms_signer(connected).public_key()


def test_an_authority_in_kms_whose_key_is_not_deployed_says_to_deploy_first(
    connected: Connected, tmp_path: Path
) -> None:
    early = Outputs.model_validate_json(connected.outputs.read_bytes()).model_dump()
    early["authorities"]["line-b"] |= {"key_arn": None, "key_region": None}
    path = tmp_path / "early.outputs.json"
    path.write_text(Outputs.model_validate(early).model_dump_json())
    held = connected.factory.ceremony(BOTH_LINES, "--outputs", path, variables=connected.variables)
    assert held.code == 2
    assert "authority line-b has no KMS key yet; deploy stack dev first" in held.err
    assert not (connected.factory.authorities / "line-b.pem").exists()


def test_an_order_to_an_authority_in_kms_that_is_out_of_reach_can_be_repeated(connected: Connected) -> None:
    factory = connected.factory
    more = ("--outputs", connected.outputs)
    assert factory.ceremony(BOTH_LINES, *more, variables=connected.variables).code == 0
    order = factory.order("device-l", "--generate-key", *more, authority="line-b")
    nobody = {**connected.variables, "AWS_ENDPOINT_URL": UNREACHABLE}
    failed = provisioning(*order, variables=nobody)
    assert failed.code == 1
    assert "kms:GetPublicKey" in failed.err
    assert provisioning(*order, variables=connected.variables).code == 0
