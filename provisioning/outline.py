"""Where the subject and the key stand in a request or a certificate: their octets, as they are encoded.

The library's own reader of DER finds them. What is exactly as we would write it needs no second look; whatever looks
otherwise is read in full.
"""

from typing import Annotated, NamedTuple

from cryptography.hazmat import asn1

from provisioning.der import element


class Outline(NamedTuple):
    """Two of its parts, in DER."""

    subject: bytes
    key: bytes
    """The SubjectPublicKeyInfo."""


@asn1.sequence
class _Request:
    """A CertificationRequestInfo (RFC 2986, section 4.1)."""

    version: int
    subject: asn1.TLV
    key: asn1.TLV
    attributes: asn1.TLV


@asn1.sequence
class _Certificate:
    """A TBSCertificate of version 3 without unique identifiers (RFC 5280, section 4.1.2)."""

    version: Annotated[asn1.TLV, asn1.Explicit(0)]
    serial: asn1.TLV
    algorithm: asn1.TLV
    issuer: asn1.TLV
    validity: asn1.TLV
    subject: asn1.TLV
    key: asn1.TLV
    extensions: Annotated[asn1.TLV, asn1.Explicit(3)]


def outline_of_request(signed: bytes) -> Outline | None:
    """Of what a request's signature is over; None where it has another shape."""
    return _outline(_Request, signed)


def outline_of_certificate(to_be_signed: bytes) -> Outline | None:
    """Of a TBSCertificate; None where it has another shape."""
    return _outline(_Certificate, to_be_signed)


def _outline(shape: type[_Request] | type[_Certificate], encoded: bytes) -> Outline | None:
    try:
        read = asn1.decode_der(shape, encoded)
    except ValueError:
        return None
    return Outline(_whole(read.subject), _whole(read.key))


def _whole(part: asn1.TLV) -> bytes:
    return element(part.tag_bytes[0], bytes(part.data))
