"""What a station asks for: a certificate for the key in its HSM (PKCS#10, RFC 2986), and how that is judged."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from provisioning.algorithm import KeyType, PublicKey, public_key_der
from provisioning.certify import signed
from provisioning.der import INTEGER, element, sequence
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile, Station
from provisioning.profile import authority_name
from provisioning.refused_keys import RefusedKeys
from provisioning.signer import Signer
from provisioning.weak_keys import weakness

MAX_CSR_BYTES = 16_384
"""A request with an RSA key has 1,000; more is no request."""
_NO_ATTRIBUTES = element(0xA0, b"")
"""Attributes [0] of a request, which asks for nothing: what stands in the certificate is the factory file's to say."""


def make_request(name: x509.Name, signer: Signer) -> bytes:
    """A request in PEM, signed by the key it is for: the library makes these only of keys it can see."""
    spki = signer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    version = element(INTEGER, b"\x00")
    der = signed(sequence(version, name.public_bytes(), spki, _NO_ATTRIBUTES), signer)
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)


def check_request(pem: bytes, name: str, station: Station, plan: FactoryFile, refused_keys: RefusedKeys) -> PublicKey:
    """The key that the station has proven to have; `RefusedError` says which rule the request breaks."""
    place = f"station {name}"
    if len(pem) > MAX_CSR_BYTES:
        raise RefusedError(f"{place}: the request has {len(pem)} bytes, at most {MAX_CSR_BYTES} are read")
    try:
        csr = x509.load_pem_x509_csr(pem)
        public_key, subject, is_signed = csr.public_key(), csr.subject, csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise RefusedError(f"{place}: this is no request in PEM ({error}); make it with `station request`") from error
    if not is_signed:
        raise RefusedError(f"{place}: the request's signature is not its key's: no proof that the station has it")
    if subject != (wanted := station_name(station, plan)):
        raise RefusedError(
            f"{place}: the request is of {subject.rfc4514_string()}, and the factory file says "
            f"{wanted.rfc4514_string()}; take the request of this station"
        )
    found = KeyType.of(public_key)
    if not isinstance(public_key, PublicKey) or found is not station.algorithm.key_type:
        raise RefusedError(
            f"{place}: its key is {found or 'of another type'}, and the factory file says {station.algorithm}; make "
            f"the request anew"
        )
    spki = public_key_der(public_key)
    if (weak := weakness(public_key, spki)) is not None:
        raise RefusedError(f"{place}: its key is weak: it has {weak}; look at what made the key, and make another")
    refused_keys.check(spki)
    return public_key


def station_name(station: Station, plan: FactoryFile) -> x509.Name:
    """The subject of a station."""
    return authority_name(station.common_name, plan.root.organization)
