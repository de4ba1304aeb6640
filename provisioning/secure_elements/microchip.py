"""Manifests of Microchip's Trust Platform: a JSON list of elements, each one signed (JWS, RFC 7515).

An entry has `header.uniqueId`, and in base64url `protected`, `payload` and `signature`. The protected header names the
manifest signer by key identifier and thumbprint; the payload is a SecureElement with `publicKeySet.keys`, of which the
first with `x5c` holds the element's certificate and its issuer's (Microchip DS50003075, Trust Platform Manifest File
Format, sections 2.3 to 2.7). What is not signed is believed only as far as it repeats what is.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from provisioning.errors import RefusedError
from provisioning.secure_elements.element import Defect, Element, certificate_in

ALGORITHMS = ("ES256", "ES384")
"""What a manifest may be signed with. Never `none`, never a shared secret, whatever an entry asks for."""
MAX_ENTRY_CHARACTERS = 65_536
"""An entry with five keys and two certificates has 5,000; more is no entry."""

_UNIQUE_ID = re.compile(r"[0-9a-f]{18}")
"""Nine bytes: what the ATECC family has as serial number."""
_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS))


class ManifestSigners:
    """The certificates of those who may sign a manifest, by thumbprint: given by whoever trusts them."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self._known: dict[str, tuple[str, ECKey]] = {}
        for certificate in certificates:
            try:
                key, identifier = certificate.public_key(), _key_identifier(certificate)
            except (ValueError, UnsupportedAlgorithm) as error:
                raise RefusedError(
                    f"--manifest-signer: a certificate cannot be read ({error}); give Microchip's manifest signer"
                ) from error
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise RefusedError(
                    f"--manifest-signer: the key of {certificate.subject.rfc4514_string()} is no EC key, and manifests "
                    f"are signed with {' or '.join(ALGORITHMS)}; give Microchip's manifest signer"
                )
            pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            thumbprint = _base64url(certificate.fingerprint(hashes.SHA256()))
            self._known[thumbprint] = identifier, ECKey.import_key(pem)

    def key_of(self, protected: Mapping[str, Any]) -> ECKey:
        """The key that a protected header names; `ValueError` when nobody trusts it."""
        found = self._known.get(str(protected.get("x5t#S256")))
        if found is None:
            raise ValueError(
                "it was signed by a certificate that --manifest-signer does not give; give the signer of this "
                "manifest, downloaded from Microchip itself"
            )
        identifier, key = found
        if protected.get("kid") != identifier:
            raise ValueError("its key identifier is not that of the certificate it names; ask Microchip for a new file")
        return key


def read_microchip(data: bytes, signers: ManifestSigners) -> Iterator[Element | Defect]:
    """Every entry of a manifest; `RefusedError` when it is no manifest at all."""
    try:
        entries = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            f"this is no Microchip manifest: it is no JSON ({error}); give the file as downloaded"
        ) from error
    if not isinstance(entries, list):
        raise RefusedError(
            "this is no Microchip manifest: it is no list of signed elements; give the file as downloaded"
        )
    for number, entry in enumerate(entries, start=1):
        place = f"entry {number}"
        try:
            yield _element(place, entry, signers)
        except ValueError as error:
            yield Defect(place, str(error))


def _element(place: str, entry: object, signers: ManifestSigners) -> Element:
    signed = _verified(entry, signers)
    unique_id = signed.get("uniqueId")
    if not isinstance(unique_id, str) or not _UNIQUE_ID.fullmatch(unique_id):
        raise ValueError(f"its uniqueId {unique_id!r} is not 18 lower-case hexadecimal digits; ask for a new file")
    outside = cast("Mapping[str, Any]", entry).get("header")
    if not isinstance(outside, Mapping) or outside.get("uniqueId") != unique_id:
        raise ValueError("the uniqueId outside its signature is not the one inside; somebody changed the file")
    return Element(
        place=place,
        serial=unique_id,
        part=str(signed.get("partNumber", "")),
        certificate=_certificate(signed),
    )


def _verified(entry: object, signers: ManifestSigners) -> Mapping[str, Any]:
    """What an entry says under its signature."""
    if not isinstance(entry, Mapping):
        raise ValueError("it is no object; it should have payload, protected, header and signature")  # noqa: TRY004
    parts = [entry.get(name) for name in ("protected", "payload", "signature")]
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("it has no protected, payload and signature; it is no signed element")
    text = ".".join(cast("list[str]", parts))
    if len(text) > MAX_ENTRY_CHARACTERS:
        raise ValueError(f"it has {len(text)} characters, and no entry has more than {MAX_ENTRY_CHARACTERS}")
    try:
        unverified = jws.extract_compact(text.encode("ascii"))
        key = signers.key_of(unverified.headers())
        payload = jws.deserialize_compact(text, key, registry=_REGISTRY).payload
    except (JoseError, UnicodeEncodeError, binascii.Error, TypeError) as error:
        raise ValueError(
            f"its signature does not hold ({type(error).__name__}); the file was changed, or is not of that signer"
        ) from error
    signed = json.loads(payload)
    if not isinstance(signed, Mapping) or signed.get("version") != 1:
        raise ValueError("its payload is no SecureElement of version 1; this program reads version 1")
    return signed


def _certificate(signed: Mapping[str, Any]) -> x509.Certificate:
    """The element's certificate, which must be of the key beside it."""
    try:
        keys = signed["publicKeySet"]["keys"]
        key = next(key for key in keys if key.get("x5c"))
        der = base64.b64decode(key["x5c"][0], validate=True)
        stated = ECKey.import_key({name: key[name] for name in ("kty", "crv", "x", "y")})
    except (LookupError, TypeError, AttributeError, StopIteration, binascii.Error, JoseError) as error:
        raise ValueError(
            "it carries no certificate; order parts that come with one (Trust&GO, TrustFLEX), or issue with --csr"
        ) from error
    certificate = certificate_in(der)
    if certificate.public_key() != stated.public_key:
        raise ValueError("its certificate is of another key than the one beside it; ask for a new file")
    return certificate


def _key_identifier(certificate: x509.Certificate) -> str:
    try:
        digest = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound as error:
        raise RefusedError(
            "--manifest-signer: the certificate has no subject key identifier; give Microchip's manifest signer"
        ) from error
    return _base64url(digest)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
