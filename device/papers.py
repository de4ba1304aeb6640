"""What a device proves by who it is, looked at before anything is dialled: each fault is told with its file.

A TLS library has one and the same error for all of them.
"""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from device.link import Credentials


class PapersError(Exception):
    """A file that proves nothing; says which, why, and the way out."""


def check_papers(files: Credentials) -> x509.Certificate:
    """The device's own certificate, once the key is its and there are trust anchors; `PapersError`, `OSError`."""
    certificate = _certificates(files.chain)[0]
    try:
        key = load_pem_private_key(files.key.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # their texts are for programmers
        raise PapersError(
            f"{files.key}: is no private key in PEM without a passphrase; put the device's own there"
        ) from None
    if key.public_key() != certificate.public_key():
        raise PapersError(
            f"{files.key}: is not the key of the certificate in {files.chain.name}; put the device's own there, or "
            "issue a certificate for this one"
        )
    _certificates(files.trust_anchors)
    return certificate


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        raise PapersError(f"{path}: holds no certificate in PEM, or more than that; issue the bundle again") from None
