"""What a device asks for, checked: only a request that passed can be issued.

A certificate request (PKCS#10) gives two things only: a public key, and the proof that the device has the private one.
Its subject may name the device; everything else in it, extensions above all, is ignored and never copied. Parsing and
verifying are the library's: it refuses points that are not on their curve.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from protocol.device_id import DeviceId
from provisioning.algorithm import RSA_EXPONENT, KeyType, PublicKey, public_key_der
from provisioning.errors import RefusedError
from provisioning.outline import outline_of_request
from provisioning.spelling import spelt_as_ours
from provisioning.subject import common_name_of
from provisioning.weak_keys import weakness

MAX_CSR_BYTES = 65536
"""A request with an RSA-4096 key has about 2 kB; more is no request."""

_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_ECDSA: Mapping[x509.ObjectIdentifier, ec.ECDSA] = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: ec.ECDSA(hashes.SHA256()),
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: ec.ECDSA(hashes.SHA384()),
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: ec.ECDSA(hashes.SHA512()),
}
_NAMES = {NameOID.COMMON_NAME: "common name", NameOID.SERIAL_NUMBER: "serial number"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A device with its own key, of a model, for an authority. Plain data, made by the two ways below alone."""

    device: DeviceId
    model: str
    authority: str
    key_type: KeyType
    spki: bytes
    """The public key in DER (SubjectPublicKeyInfo), encoded by us."""

    @property
    def key_hash(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo in DER, lower-case hex."""
        return hashlib.sha256(self.spki).hexdigest()

    @classmethod
    def from_csr(cls, pem: bytes, *, device: DeviceId, model: str, authority: str, key_type: KeyType) -> Self:
        """The request in a CSR; `RefusedError` says which rule it breaks."""
        spki = _check_csr(pem, device, key_type)
        return cls(device=device, model=model, authority=authority, key_type=key_type, spki=spki)

    @staticmethod
    def check_form(pem: bytes, *, device: DeviceId, key_type: KeyType) -> bytes:
        """Everything about a CSR but the proof of possession, which costs more than the rest; `RefusedError` says why.

        For a whole file, before its first row is issued. Returns the key in DER.
        """
        return _parsed(pem, device, key_type).spki

    @classmethod
    def of_key(
        cls,
        key: PublicKey,
        *,
        device: DeviceId,
        model: str,
        authority: str,
        key_type: KeyType,
        encoded: bytes | None = None,
    ) -> Self:
        """The request for a key that was made, or proven, otherwise; `RefusedError` when the model has another type.

        `encoded`: see `check_key`.
        """
        spki = check_key(key, key_type, encoded=encoded)
        return cls(device=device, model=model, authority=authority, key_type=key_type, spki=spki)


class _Parsed(NamedTuple):
    """A CSR, of which all but the proof of possession is checked."""

    csr: x509.CertificateSigningRequest
    signed: bytes
    """What its signature is over. The library encodes it anew each time it is asked."""
    key: object
    spki: bytes


def _check_csr(pem: bytes, device: DeviceId, key_type: KeyType) -> bytes:
    parsed = _parsed(pem, device, key_type)
    try:
        _check_possession(parsed)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unreadable(error) from error
    return parsed.spki


def _parsed(pem: bytes, device: DeviceId, key_type: KeyType) -> _Parsed:
    if len(pem) > MAX_CSR_BYTES:
        raise RefusedError(f"the request has {len(pem)} bytes, at most {MAX_CSR_BYTES} are read; send the CSR alone")
    try:
        csr = x509.load_pem_x509_csr(pem)
        public_key = csr.public_key()
        signed = csr.tbs_certrequest_bytes
        outline = outline_of_request(signed)
        is_named = outline is not None and outline.subject == common_name_of(device)
        subject = None if is_named else csr.subject
        spki = check_key(public_key, key_type, encoded=None if outline is None else outline.key)
        check_spelling(spki, signed)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _unreadable(error) from error
    if subject is not None:
        _check_subject(subject, device)
    return _Parsed(csr, signed, public_key, spki)


def _unreadable(error: Exception) -> RefusedError:
    return RefusedError(f"the request is no certificate request in PEM ({error}); make it anew")


def check_key(public_key: object, key_type: KeyType, *, encoded: bytes | None = None) -> bytes:
    """A device's public key in DER, if it is of its model's type and sound; `RefusedError` says why not.

    `encoded`: the SubjectPublicKeyInfo that the key was read from, if the caller has it. It is taken where it is spelt
    as we do.
    """
    if not isinstance(public_key, PublicKey) or KeyType.of(public_key) is not key_type:
        raise RefusedError(
            f"the request's key is {_shown(public_key)}, and this model has {key_type}; make the key anew on the device"
        )
    if isinstance(public_key, rsa.RSAPublicKey) and (exponent := public_key.public_numbers().e) != RSA_EXPONENT:
        raise RefusedError(f"the request's RSA key has exponent {exponent}, accepted is {RSA_EXPONENT}; make it anew")
    spki = spelt_as_ours(encoded, key_type) or public_key_der(public_key)
    if found := weakness(public_key, spki):
        raise RefusedError(
            f"the request's key is weak: it has {found}; put the board aside, and look at what made the key"
        )
    return spki


def check_spelling(spki: bytes, within: bytes) -> None:
    """Refuse a key that its request or certificate spells in another way than we do.

    A curve may be spelt out in place of its name, and then be almost the one it claims to be (CVE-2020-0601); the
    library takes some of those for the named one.
    """
    if spki not in within:
        raise RefusedError(
            "the request's key is spelt out, not given by the name of its curve and the whole point; make the request "
            "with a named curve"
        )


def _check_possession(parsed: _Parsed) -> None:
    """The request's signature by its own key; for EC without parsing the key a second time."""
    csr, key = parsed.csr, parsed.key
    if not isinstance(csr.signature_hash_algorithm, _HASHES):
        raise RefusedError("the request is not signed with SHA-256, SHA-384 or SHA-512; make it anew with SHA-256")
    algorithm = _ECDSA.get(csr.signature_algorithm_oid)
    if isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
        is_signed = _verifies(key, csr.signature, parsed.signed, algorithm)
    else:
        is_signed = csr.is_signature_valid
    if not is_signed:
        raise RefusedError(
            "the request's signature does not fit its key: no proof that the device has it; make it anew"
        )


def _verifies(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes, algorithm: ec.ECDSA) -> bool:
    try:
        key.verify(signature, signed, algorithm)
    except InvalidSignature:
        return False
    return True


def _check_subject(subject: x509.Name, device: DeviceId) -> None:
    for attribute in subject:
        called = _NAMES.get(attribute.oid)
        if called is not None and attribute.value != device:
            raise RefusedError(
                f"the request's {called} is {attribute.value!r}, the device is {device!r}; take the right CSR, "
                f"or make one without a subject"
            )


def _shown(public_key: object) -> str:
    match public_key:
        case ec.EllipticCurvePublicKey():
            return f"an EC key on {public_key.curve.name}"
        case rsa.RSAPublicKey():
            return f"an RSA key of {public_key.key_size} bits"
        case _:
            return type(public_key).__name__
