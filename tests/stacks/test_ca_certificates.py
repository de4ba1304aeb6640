"""The certificates beside the stack files: real ones, each fit for AWS IoT and for its authority."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stacks.ca_certificates import find_ca_certificates
from stacks.environment import Environment
from stacks.errors import StackError
from tests.stacks.conftest import GOOD, TODAY, Load

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

P256 = ec.generate_private_key(ec.SECP256R1())
WEAK_RSA = rsa.generate_private_key(65537, 1024)  # noqa: S505 - too weak, as the test needs it
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def certificate(
    common_name: str | None = "Line A Issuing CA",
    *,
    key: Key = P256,
    constraints: bool | None = True,
    not_after: datetime = NOON + timedelta(days=3650),
) -> bytes:
    """A self-signed certificate in PEM; `constraints`: the CA flag, or None for no basic constraints at all."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Flotilla")]
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(x509.Name(attributes))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOON - timedelta(days=3650))
        .not_valid_after(not_after)
    )
    if constraints is not None:
        path_length = 0 if constraints else None
        builder = builder.add_extension(x509.BasicConstraints(ca=constraints, path_length=path_length), critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


@pytest.fixture
def environment(load: Load) -> Environment:
    return load(GOOD)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "authorities"
    folder.mkdir()
    return folder


def refusal(environment: Environment, folder: Path, *, today: date = TODAY) -> str:
    with pytest.raises(StackError) as caught:
        find_ca_certificates(environment, folder, today=today)
    return str(caught.value)


def test_an_authority_without_a_file_has_no_certificate_yet(environment: Environment, folder: Path) -> None:
    assert find_ca_certificates(environment, folder, today=TODAY) == {}
    assert find_ca_certificates(environment, folder / "nowhere", today=TODAY) == {}


@pytest.mark.parametrize(
    "make",
    [
        lambda: P256,
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "RSA-2048"],
)
def test_a_ca_certificate_of_the_authority_is_found(
    make: Callable[[], Key], environment: Environment, folder: Path
) -> None:
    pem = certificate(key=make())
    (folder / "line-a.pem").write_bytes(b"subject: for people\n" + pem)
    (folder / "stranger.pem").write_bytes(b"read by nobody")
    found = find_ca_certificates(environment, folder, today=TODAY)
    assert list(found) == ["line-a"]
    assert found["line-a"].authority == "line-a"
    assert found["line-a"].pem.encode() == pem, "the certificate alone, without what people wrote around it"
    assert found["line-a"].not_after == NOON + timedelta(days=3650)
    assert found["line-a"].not_after.tzinfo is UTC


@pytest.mark.parametrize(
    ("content", "rule", "way_out"),
    [
        (b"", "it is no certificate in PEM", "python -m provisioning ceremony"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "it is no certificate", "ceremony"),
        (certificate() + certificate("Root"), "it holds 2 certificates", "keep the issuing CA's certificate alone"),
        (certificate("Another CA"), "its subject has common name 'Another CA'", "correct common_name"),
        (certificate(None), "its subject has common name none", "put the right file here"),
        (certificate(constraints=False), "it is no CA certificate", "ceremony"),
        (certificate(constraints=None), "it is no CA certificate", "ceremony"),
        (certificate(key=ec.generate_private_key(ec.SECP256K1())), "its key is none that AWS IoT takes", "ceremony"),
        (certificate(key=ed25519.Ed25519PrivateKey.generate()), "its key is none that AWS IoT takes", "ceremony"),
        (certificate(key=WEAK_RSA), "its key is none that AWS IoT takes", "ceremony"),
    ],
    ids=[
        "empty",
        "garbage",
        "two",
        "another's",
        "nameless",
        "a device's",
        "of no kind",
        "a coin's curve",
        "Ed25519",
        "RSA-1024",
    ],
)
def test_a_file_that_is_no_usable_certificate_is_refused(
    content: bytes, rule: str, way_out: str, environment: Environment, folder: Path
) -> None:
    (folder / "line-a.pem").write_bytes(content)
    file, _, told = refusal(environment, folder).partition(": ")
    broken, _, out = told.partition("; ")
    assert file == str(folder / "line-a.pem")
    assert rule in broken
    assert way_out in out


def test_a_private_key_beside_a_stack_file_is_refused_first_of_all(environment: Environment, folder: Path) -> None:
    key = P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "line-a.pem").write_bytes(certificate() + key)
    told = refusal(environment, folder)
    assert "it holds a private key" in told
    assert "treat that key as lost" in told


def test_a_certificate_is_good_on_its_last_day_and_expired_on_the_next(environment: Environment, folder: Path) -> None:
    (folder / "line-a.pem").write_bytes(certificate(not_after=NOON))
    assert list(find_ca_certificates(environment, folder, today=date(2026, 6, 1))) == ["line-a"]
    assert "it expired on 2026-06-01; make its successor" in refusal(environment, folder, today=date(2026, 6, 2))


def test_all_bad_files_are_told_at_once(environment: Environment, folder: Path) -> None:
    (folder / "line-a.pem").write_bytes(b"")
    (folder / "line-b.pem").mkdir()
    told = refusal(environment, folder).splitlines()
    assert [Path(line.split(": ")[0]).name for line in told] == ["line-a.pem", "line-b.pem"]
    assert "cannot be read (Is a directory)" in told[1]
