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
from provisioning.algorithm import RSA_EXPONENT, KeyType, PublicKey
from provisioning.errors import RefusedError

MAX_CSR_BYTES = 65536
"""A request with an RSA-4096 key has about 2 kB; more is no request."""
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A device with its own key, of a model, for an authority; the stack knows both."""

    device: DeviceId
    model: str
    authority: str
    public_key: PublicKey

    @property
    def key_hash(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo in DER, lower-case hex."""
        spki = self.public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()

    @classmethod
    def from_csr(cls, pem: bytes, *, device: DeviceId, model: str, authority: str, key_type: KeyType) -> Self:
        """The request in a CSR; `RefusedError` says which rule it breaks."""
        public_key = _check_csr(pem, device, key_type)
        return cls(device=device, model=model, authority=authority, public_key=public_key)


def _check_csr(pem: bytes, device: DeviceId, key_type: KeyType) -> PublicKey:
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
    return _accepted(public_key, key_type)


def _check_subject(subject: x509.Name, device: DeviceId) -> None:
    for oid, called in ((NameOID.COMMON_NAME, "common name"), (NameOID.SERIAL_NUMBER, "serial number")):
        for attribute in subject.get_attributes_for_oid(oid):
            if attribute.value != device:
                raise RefusedError(
                    f"the request's {called} is {attribute.value!r}, the device is {device!r}; take the right CSR, "
                    f"or make one without a subject"
                )


def _accepted(public_key: object, wanted: KeyType) -> PublicKey:
    """The key, if it is of the model's type and sound."""
    found = KeyType.of(public_key)
    if not isinstance(public_key, PublicKey) or found is not wanted:
        raise RefusedError(
            f"the request's key is {_shown(public_key)}, and this model has {wanted}; make the key anew on the device"
        )
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.public_numbers().e != RSA_EXPONENT:
        raise RefusedError(
            f"the request's RSA key has exponent {public_key.public_numbers().e}, accepted is {RSA_EXPONENT}; "
            f"make the key anew"
        )
    return public_key


def _shown(public_key: object) -> str:
    match public_key:
        case ec.EllipticCurvePublicKey():
            return f"an EC key on {public_key.curve.name}"
        case rsa.RSAPublicKey():
            return f"an RSA key of {public_key.key_size} bits"
        case _:
            return type(public_key).__name__
