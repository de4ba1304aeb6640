"""What a device asks for, checked: only a request that passed can be issued.

A certificate request (PKCS#10) gives two things only: a public key, and the proof that the device has the private one.
Its subject may name the device; everything else in it, extensions above all, is ignored and never copied.
"""

import hashlib
from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from protocol.device_id import DeviceId
from provisioning.errors import RefusedError
from provisioning.profile import DevicePublicKey

MIN_RSA_BITS = 2048
"""AWS IoT Core, certificate signing algorithms: RSA keys of at least 2,048 bits."""
MAX_RSA_BITS = 4096
"""A larger key only slows the device and its handshakes down."""
MIN_RSA_EXPONENT = 65537
"""NIST SP 800-56B, section 6.2: smaller exponents are not used."""
MAX_CSR_BYTES = 65536
"""A request with an RSA-4096 key has about 2 kB; more is no request."""
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A device with its own key, of a model, for an authority; the stack knows both."""

    device: DeviceId
    model: str
    authority: str
    public_key: DevicePublicKey

    @property
    def key_hash(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo in DER, lower-case hex."""
        spki = self.public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()

    @classmethod
    def from_csr(cls, pem: bytes, *, device: DeviceId, model: str, authority: str) -> Self:
        """The request in a CSR; `RefusedError` says which rule it breaks."""
        public_key = _check_csr(pem, device)
        return cls(device=device, model=model, authority=authority, public_key=public_key)


def _check_csr(pem: bytes, device: DeviceId) -> DevicePublicKey:
    if len(pem) > MAX_CSR_BYTES:
        raise RefusedError(f"the request has {len(pem)} bytes, at most {MAX_CSR_BYTES} are read; send the CSR alone")
    try:
        csr = x509.load_pem_x509_csr(pem)
        public_key = csr.public_key()
        subject = csr.subject
        is_signed = csr.is_signature_valid
        signature_hash = csr.signature_hash_algorithm
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise RefusedError(f"the request is no certificate request in PEM ({error}); make it anew") from error
    if not is_signed:
        raise RefusedError(
            "the request's signature does not fit its key: no proof that the device has it; make it anew"
        )
    if not isinstance(signature_hash, _HASHES):
        raise RefusedError("the request is not signed with SHA-256, SHA-384 or SHA-512; make it anew with SHA-256")
    _check_subject(subject, device)
    return _accepted(public_key)


def _check_subject(subject: x509.Name, device: DeviceId) -> None:
    for oid, called in ((NameOID.COMMON_NAME, "common name"), (NameOID.SERIAL_NUMBER, "serial number")):
        for attribute in subject.get_attributes_for_oid(oid):
            if attribute.value != device:
                raise RefusedError(
                    f"the request's {called} is {attribute.value!r}, the device is {device!r}; take the right CSR, "
                    f"or make one without a subject"
                )


def _accepted(public_key: object) -> DevicePublicKey:
    """The key, if its type and strength are accepted."""
    match public_key:
        case ec.EllipticCurvePublicKey() if isinstance(public_key.curve, _CURVES):
            return public_key
        case ec.EllipticCurvePublicKey():
            found = f"an EC key on {public_key.curve.name}"
        case rsa.RSAPublicKey() if (
            MIN_RSA_BITS <= public_key.key_size <= MAX_RSA_BITS and public_key.public_numbers().e >= MIN_RSA_EXPONENT
        ):
            return public_key
        case rsa.RSAPublicKey():
            found = f"an RSA key of {public_key.key_size} bits with exponent {public_key.public_numbers().e}"
        case _:
            found = type(public_key).__name__
    raise RefusedError(
        f"the request's key is {found}; accepted are P-256, P-384 and RSA of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits "
        f"with exponent {MIN_RSA_EXPONENT} or more"
    )
