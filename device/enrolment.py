"""The device's own key, and the request for its certificate.

The key is made where it is used and never leaves: real firmware makes it in its secure element or TrustZone, this
reference in a file only its owner can read. A certificate request (PKCS #10, RFC 2986) proves that it is held.
"""

import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol.bundle import KEY_FILE
from protocol.device_id import DeviceId

REQUEST_FILE = "device.csr.pem"

_OWNER_ONLY = 0o600


class EnrolmentError(Exception):
    """The folder holds something that is not this device's; says what, and the way out."""


def make_request(device: DeviceId, folder: Path) -> Path:
    """The path of a certificate request for `device` in `folder`; the key beside it is made once and then kept.

    A second call with the same folder makes a request for the same key, so that a power cut in between costs nothing.
    One for another device would make two devices of one key, and is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REQUEST_FILE
    _check_owner(path, device)
    key = _read_or_make_key(folder / KEY_FILE)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    _write(path, request.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return path


def _check_owner(path: Path, device: DeviceId) -> None:
    """A request that cannot be read says nothing of whose the folder is, and is made anew."""
    try:
        subject = x509.load_pem_x509_csr(path.read_bytes()).subject
    except (FileNotFoundError, ValueError):
        return
    named = [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if named and named != [device]:
        raise EnrolmentError(
            f"{path}: is the request of device {named[0]}, and one key is one device; give device {device} a folder of "
            f"its own, or move that request away"
        )


def _read_or_make_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        held = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(path, pem, mode=_OWNER_ONLY)
        return key
    except (ValueError, TypeError) as error:
        raise EnrolmentError(f"{path}: is not a private key ({error}); move it away, or give another folder") from error
    if not isinstance(held, ec.EllipticCurvePrivateKey):
        raise EnrolmentError(f"{path}: is not an elliptic-curve key; move it away, or give another folder")
    return held


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Write whole or not at all, durable before it has its name."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
