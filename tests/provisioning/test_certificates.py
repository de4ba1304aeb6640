"""What stands in the certificates, as we read it and as independent judges do."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store
from hypothesis import given
from hypothesis import strategies as st

from protocol.device_id import DeviceId
from provisioning.algorithm import KeyType
from provisioning.certify import certify, to_be_signed
from provisioning.errors import StationError
from provisioning.file_signer import FileSigner
from provisioning.profile import Validity, authority_name, device_builder, root_builder, years
from tests.provisioning.factory import CEREMONY, Factory
from tests.provisioning.requests import csr, p256, rsa_key

NOW = datetime(2026, 11, 23, 12, 0, 0, 654321, tzinfo=UTC)
LINT = Path(sys.executable).parent / "lint_pkix_cert"
DEVICE_IDS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@pytest.fixture(scope="module")
def issued(opened_factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory that issued to devices of every accepted key type."""
    home = tmp_path_factory.mktemp("issued")
    shutil.copytree(opened_factory.home, home, dirs_exist_ok=True)
    factory = Factory(home)
    keys: dict[str, CertificateIssuerPrivateKeyTypes] = {
        "device-p256": p256(),
        "device-p384": ec.generate_private_key(ec.SECP384R1()),
        "device-rsa": rsa_key(2048),
    }
    for device, key in keys.items():
        request = tmp_path_factory.mktemp("csr") / "device.csr.pem"
        request.write_bytes(csr(key))
        profiles = request.with_name("dev.yaml")
        key_type = KeyType.of(key.public_key())
        profiles.write_text(CEREMONY.replace("fl50: {", f"fl50: {{ key_type: {key_type},"), encoding="utf-8")
        done = factory.issue(device, "--csr", request, "--profiles", profiles)
        assert done.code == 0, done.err
    return factory


def all_certificates(factory: Factory) -> dict[str, x509.Certificate]:
    return {
        "root": x509.load_pem_x509_certificate((factory.folder / "root.pem").read_bytes()),
        "line-a": x509.load_pem_x509_certificate((factory.authorities / "line-a.pem").read_bytes()),
        **{device: factory.chain(device)[0] for device in ("device-p256", "device-p384", "device-rsa")},
    }


def lint(certificate: x509.Certificate, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return subprocess.run(
        [LINT, "lint", "-s", "WARNING", path], capture_output=True, text=True, check=False, env={"PYTHONWARNINGS": ""}
    )


@pytest.mark.judge
def test_openssl_accepts_every_chain_as_a_tls_client_under_its_strict_rules(issued: Factory) -> None:
    for device in ("device-p256", "device-p384", "device-rsa"):
        chain = issued.device(device) / "device.chain.pem"
        root = issued.folder / "root.pem"
        command = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", str(root)]
        judged = subprocess.run(
            [*command, "-untrusted", str(chain), str(chain)], capture_output=True, text=True, check=False
        )
        assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.judge
@pytest.mark.parametrize("name", ["root", "line-a", "device-p256", "device-p384", "device-rsa"])
def test_pkilint_has_neither_error_nor_warning(name: str, issued: Factory, tmp_path: Path) -> None:
    judged = lint(all_certificates(issued)[name], tmp_path)
    assert (judged.returncode, judged.stdout.strip(), judged.stderr.strip()) == (0, "", "")


@pytest.mark.judge
def test_pkilint_is_awake_it_reports_a_certificate_with_a_urn(tmp_path: Path) -> None:
    key, root = _root()
    builder = device_builder(
        device=DeviceId("device1"), public_key=p256().public_key(), issuer=root, validity=_valid(5), serial=77
    ).add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:dev:1")]), critical=False)
    judged = lint(certify(to_be_signed(builder), FileSigner(key)), tmp_path)
    assert judged.returncode != 0
    assert "ERROR" in judged.stdout


def test_the_verifier_of_cryptography_accepts_every_chain_for_a_client(issued: Factory) -> None:
    certificates = all_certificates(issued)
    # Its default for devices of the web wants a DNS name; ours are asked for the client purpose instead.
    client = ExtensionPolicy.permit_all().require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _is_client)
    for device in ("device-p256", "device-p384", "device-rsa"):
        policy = PolicyBuilder().store(Store([certificates["root"]])).time(datetime.now(UTC))
        verifier = policy.extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=client
        ).build_client_verifier()
        verified = verifier.verify(certificates[device], [certificates["line-a"]])
        assert verified.chain == [certificates[device], certificates["line-a"], certificates["root"]]


def _is_client(_policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage) -> None:
    assert ExtendedKeyUsageOID.CLIENT_AUTH in usage


def test_a_device_certificate_says_who_it_is_and_that_it_is_a_client_and_nothing_else(issued: Factory) -> None:
    certificate, issuer = issued.chain("device-p256")
    subject = [(attribute.oid, attribute.value, attribute._type) for attribute in certificate.subject]
    assert subject == [
        (NameOID.COMMON_NAME, "device-p256", _ASN1Type.UTF8String),
        (NameOID.SERIAL_NUMBER, "device-p256", _ASN1Type.PrintableString),
    ]
    extensions = {extension.oid: extension for extension in certificate.extensions}
    assert len(extensions) == 5, "key identifiers, basic constraints, key usage, extended key usage; no other name"
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert not basic.value.ca
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    granted = [flag for flag in ("digital_signature", "key_cert_sign", "crl_sign") if getattr(usage.value, flag)]
    assert granted == ["digital_signature"]
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.issuer == issuer.subject


def test_no_certificate_outlives_its_issuer_and_serials_are_random(issued: Factory) -> None:
    certificates = all_certificates(issued)
    assert certificates["line-a"].not_valid_after_utc < certificates["root"].not_valid_after_utc
    for device in ("device-p256", "device-p384", "device-rsa"):
        life = Validity.of(certificates[device])
        assert life.lies_within(Validity.of(certificates["line-a"]))
        assert life.lifetime >= timedelta(days=15 * 365)
    serials = {certificate.serial_number for certificate in certificates.values()}
    assert len(serials) == len(certificates)
    assert all(2**64 < serial < 2**159 for serial in serials), "20 octets at most and positive (RFC 5280, 4.1.2.2)"


def test_a_root_may_have_authorities_and_stations_below_it_an_authority_of_devices_none(issued: Factory) -> None:
    certificates = all_certificates(issued)
    lengths = {
        name: certificates[name].extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        for name in ("root", "line-a")
    }
    assert lengths == {"root": 2, "line-a": 0}


def _valid(count: int) -> Validity:
    return Validity.lasting(years(count), now=NOW)


def _root() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = p256()
    builder = root_builder(name=authority_name("R", "O"), public_key=key.public_key(), validity=_valid(30), serial=1)
    return key, certify(to_be_signed(builder), FileSigner(key))


ROOT_KEY, ROOT_CERTIFICATE = _root()


@given(device=DEVICE_IDS, days=st.integers(min_value=1, max_value=5479), serial=st.integers(1, 2**159 - 1))
def test_what_is_signed_is_exactly_what_was_prepared(device: str, days: int, serial: int) -> None:
    validity = Validity.lasting(timedelta(days=days), now=NOW)
    tbs = to_be_signed(
        device_builder(
            device=DeviceId(device),
            public_key=ROOT_KEY.public_key(),
            issuer=ROOT_CERTIFICATE,
            validity=validity,
            serial=serial,
        )
    )
    certificate = certify(tbs, FileSigner(ROOT_KEY))
    assert certificate.tbs_certificate_bytes == tbs
    assert Validity.of(certificate) == validity
    assert certificate.serial_number == serial
    certificate.verify_directly_issued_by(ROOT_CERTIFICATE)


def test_a_signer_that_signs_with_another_key_is_found_out() -> None:
    class Confused(FileSigner):
        def public_key(self) -> ec.EllipticCurvePublicKey:
            return ROOT_KEY.public_key()

    with pytest.raises(StationError, match="does not verify"):
        certify(ROOT_CERTIFICATE.tbs_certificate_bytes, Confused(p256()))


def test_a_signer_does_not_show_its_key() -> None:
    assert repr(FileSigner(p256())) == "FileSigner(…)"
