"""The public keys of issuing authorities, as their certificates beside the stack file have them."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stacks.load import AUTHORITIES, find_ca_certificates, load_environment

DIRECTORY_KEY = "flotilla:authorities_directory"
"""The configuration key that says where certificates are, if not beside the stack file."""


def authority_public_keys(stack: str, config: Mapping[str, str]) -> dict[str, str]:
    """Authority to public key (base64 of the DER), for each that has a certificate; `StackError` for a wrong file."""
    today = datetime.now(UTC).date()
    directory = Path(config.get(DIRECTORY_KEY, AUTHORITIES / stack))
    certificates = find_ca_certificates(load_environment(stack, today=today), directory, today=today)
    return {name: _public_key(certificate.pem) for name, certificate in certificates.items()}


def _public_key(pem: str) -> str:
    key = x509.load_pem_x509_certificate(pem.encode("ascii")).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode("ascii")
