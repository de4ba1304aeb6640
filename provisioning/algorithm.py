"""Keys and signatures by name: what a factory file writes, what a certificate carries, what AWS and an HSM call it.

A name that stands here is one that every judge of ours, AWS IoT and our brokers accept. Another algorithm is a line in
each table (docs/adr/0011).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

RSA_EXPONENT = 65537
"""FIPS 186-5, section 5.1: larger than 2^16. Every device library of ours takes this one."""


class KeyType(StrEnum):
    """What kind of key, and how strong. AWS IoT Core takes all of these (certificate signing algorithms)."""

    P256 = "ecdsa-p256"
    """The default: what secure elements make, about 128 bits of security."""
    P384 = "ecdsa-p384"
    RSA_2048 = "rsa-2048"
    """For chips that know no elliptic curves; 112 bits of security (NIST SP 800-57, part 1, table 2)."""

    @classmethod
    def of(cls, key: object) -> "KeyType | None":
        """The type of a public key; None when it has no name here."""
        match key:
            case ec.EllipticCurvePublicKey():
                return _CURVES.get(key.curve.name)
            case rsa.RSAPublicKey() if key.key_size == 2048:
                return cls.RSA_2048
            case _:
                return None

    def generate(self) -> PrivateKey:
        """A new key of this type."""
        match self:
            case KeyType.P256:
                return ec.generate_private_key(ec.SECP256R1())
            case KeyType.P384:
                return ec.generate_private_key(ec.SECP384R1())
            case KeyType.RSA_2048:
                return rsa.generate_private_key(RSA_EXPONENT, 2048)


_CURVES = {"secp256r1": KeyType.P256, "secp384r1": KeyType.P384}


def public_key_der(key: PublicKey) -> bytes:
    """The SubjectPublicKeyInfo in DER: of a curve by its name, of a point without compression."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class Algorithm(StrEnum):
    """What an authority signs with: a type of key and a hash of the same strength."""

    ECDSA_P256_SHA256 = "ecdsa-p256-sha256"
    ECDSA_P384_SHA384 = "ecdsa-p384-sha384"
    RSA_2048_SHA256 = "rsa-2048-sha256"

    @classmethod
    def of(cls, key: object) -> "Algorithm":
        """The one algorithm that a key signs with here; `ValueError` for a key without one."""
        key_type = KeyType.of(key)
        if key_type is None:
            raise ValueError("this key signs with no algorithm of ours; the names are in provisioning/algorithm.py")
        return _OF_TYPE[key_type]

    @property
    def facts(self) -> "Facts":
        """What each party calls it."""
        return _FACTS[self]

    @property
    def key_type(self) -> KeyType:
        """The type of its keys."""
        return _FACTS[self].key_type

    @property
    def identifier(self) -> bytes:
        """Its AlgorithmIdentifier in DER."""
        return _FACTS[self].identifier

    def digest(self, message: bytes) -> bytes:
        """The hash of `message` that is signed: all that travels to KMS and to most HSMs."""
        digest = hashes.Hash(_FACTS[self].hash)
        digest.update(message)
        return digest.finalize()

    def sign(self, key: PrivateKey, message: bytes) -> bytes:
        """The signature over `message`, as an X.509 certificate carries it; for ECDSA in DER (RFC 3279, 2.2.3)."""
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(message, _ECDSA[self])
        return key.sign(message, padding.PKCS1v15(), _FACTS[self].hash)

    def is_signature(self, signature: bytes, message: bytes, key: PublicKey) -> bool:
        """Whether `signature` is one over `message` by the private half of `key`."""
        try:
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, message, _ECDSA[self])
            else:
                key.verify(signature, message, padding.PKCS1v15(), _FACTS[self].hash)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One algorithm's names elsewhere."""

    key_type: KeyType
    hash: hashes.SHA256 | hashes.SHA384
    identifier: bytes
    kms_key_spec: str
    """AWS KMS, CreateKey."""
    kms_signing_algorithm: Literal["ECDSA_SHA_256", "ECDSA_SHA_384", "RSASSA_PKCS1_V1_5_SHA_256"]
    """AWS KMS, Sign."""
    pkcs11_mechanism: str
    """PKCS#11 v3.0: the mechanism that takes the message's digest (ECDSA) or the message (RSA)."""


_OF_TYPE: Mapping[KeyType, Algorithm] = {
    KeyType.P256: Algorithm.ECDSA_P256_SHA256,
    KeyType.P384: Algorithm.ECDSA_P384_SHA384,
    KeyType.RSA_2048: Algorithm.RSA_2048_SHA256,
}
_FACTS: Mapping[Algorithm, Facts] = {
    Algorithm.ECDSA_P256_SHA256: Facts(
        key_type=KeyType.P256,
        hash=hashes.SHA256(),
        identifier=bytes.fromhex("300a06082a8648ce3d040302"),  # RFC 5758, section 3.2: no parameters
        kms_key_spec="ECC_NIST_P256",
        kms_signing_algorithm="ECDSA_SHA_256",
        pkcs11_mechanism="CKM_ECDSA",
    ),
    Algorithm.ECDSA_P384_SHA384: Facts(
        key_type=KeyType.P384,
        hash=hashes.SHA384(),
        identifier=bytes.fromhex("300a06082a8648ce3d040303"),
        kms_key_spec="ECC_NIST_P384",
        kms_signing_algorithm="ECDSA_SHA_384",
        pkcs11_mechanism="CKM_ECDSA",
    ),
    Algorithm.RSA_2048_SHA256: Facts(
        key_type=KeyType.RSA_2048,
        hash=hashes.SHA256(),
        identifier=bytes.fromhex("300d06092a864886f70d01010b0500"),  # RFC 4055, section 5: the parameters are NULL
        kms_key_spec="RSA_2048",
        kms_signing_algorithm="RSASSA_PKCS1_V1_5_SHA_256",
        pkcs11_mechanism="CKM_SHA256_RSA_PKCS",
    ),
}
_ECDSA = {algorithm: ec.ECDSA(facts.hash) for algorithm, facts in _FACTS.items()}
