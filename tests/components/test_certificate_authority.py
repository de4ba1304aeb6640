"""A CA certificate is registered only if it is of the key this deployment has for the authority."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from components.certificate_authority import WrongAuthorityKeyError, ceremony_command, certificate_of
from stacks.environment import CaCertificate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(key: ec.EllipticCurvePrivateKey) -> CaCertificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Line A")])
    end = NOW + timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    signed = builder.serial_number(2).not_valid_before(NOW).not_valid_after(end).sign(key, hashes.SHA256())
    return CaCertificate(authority="line-a", pem=signed.public_bytes(Encoding.PEM).decode(), not_after=end)


def public(key: ec.EllipticCurvePrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def test_the_certificate_of_our_key_is_taken_as_it_is() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    ours = certificate(key)
    assert certificate_of(ours, public_key=public(key)) == ours.pem


def test_the_certificate_of_another_key_is_refused_with_the_way_out() -> None:
    ours, another = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(WrongAuthorityKeyError, match=r"'line-a' is not of its KMS key.*put line-a\.pem"):
        certificate_of(certificate(another), public_key=public(ours))


def test_the_ceremony_command_names_the_stack_in_every_path() -> None:
    command = ceremony_command("staging")
    assert command.startswith("python -m provisioning ceremony stacks/factories/staging.yaml ")
    assert "--out stacks/authorities/staging" in command
    assert "--outputs staging.outputs.json" in command
