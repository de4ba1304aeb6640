"""A whole revocation list: everything around the entries is the library's, the entries are put into its middle."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat import asn1

from provisioning.algorithm import Algorithm
from provisioning.certify import signed, throw_away_key
from provisioning.crl.entries import Revoked, encode_entries
from provisioning.der import SEQUENCE, element, sequence
from provisioning.profile import issuer_key_identifier
from provisioning.signer import Signer


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What a list says of itself. Times are UTC."""

    number: int
    """Greater than that of every earlier list of this authority, full or delta (RFC 5280, section 5.2.3)."""
    this_update: datetime
    next_update: datetime
    base: int | None = None
    """Of a delta list: the number of the full list it adds to (section 5.2.4)."""
    delta_url: str | None = None
    """Of a full list: where its delta lists are (section 5.2.6)."""

    def __post_init__(self) -> None:
        if self.next_update <= self.this_update:
            raise ValueError("a list is followed by another one later, not earlier")
        if self.base is not None and not (self.base < self.number and self.delta_url is None):
            raise ValueError("a delta list has a greater number than its base, and names no deltas of its own")


@dataclass(frozen=True, kw_only=True)
class RevocationList:
    """A signed list."""

    der: bytes
    count: int
    """How many certificates it names."""


def make_list(issuer: x509.Certificate, signer: Signer, heading: Heading, entries: Iterable[Revoked]) -> RevocationList:
    """The list of `issuer`, signed and verified. Memory: some times the list, which has 35 to 75 bytes an entry."""
    before, after = _around(issuer, heading, Algorithm.of(signer.public_key()))
    count, middle = 0, bytearray()
    for entry in encode_entries(entries):
        middle += entry
        count += 1
    revoked = element(SEQUENCE, bytes(middle)) if count else b""  # section 5.1.2.6: an empty list is absent
    del middle
    tbs = sequence(before, revoked, after)
    del revoked
    return RevocationList(der=signed(tbs, signer), count=count)


@asn1.sequence
class _TbsCertList:
    """RFC 5280, section 5.1, of a list without entries."""

    version: int
    signature: asn1.TLV
    issuer: asn1.TLV
    this_update: asn1.TLV
    next_update: asn1.TLV
    extensions: asn1.TLV


def _around(issuer: x509.Certificate, heading: Heading, algorithm: Algorithm) -> tuple[bytes, bytes]:
    """What stands before and after the entries: the library's bytes of an empty list.

    It gives them only with a signature, so a throw-away key makes one; nothing of that key is in them.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(heading.this_update)
        .next_update(heading.next_update)
    )
    for extension, is_critical in extensions(issuer, heading):
        builder = builder.add_extension(extension, critical=is_critical)
    empty = builder.sign(throw_away_key(algorithm), algorithm.facts.hash).tbs_certlist_bytes
    after = asn1.encode_der(asn1.decode_der(_TbsCertList, empty).extensions)
    content = asn1.decode_der(asn1.TLV, empty).data
    return bytes(content[: -len(after)]), after


def extensions(issuer: x509.Certificate, heading: Heading) -> list[tuple[x509.ExtensionType, bool]]:
    """The list's extensions, with whether each is critical."""
    told: list[tuple[x509.ExtensionType, bool]] = [
        (issuer_key_identifier(issuer), False),
        (x509.CRLNumber(heading.number), False),
    ]
    if heading.base is not None:
        told.append((x509.DeltaCRLIndicator(heading.base), True))
    if heading.delta_url is not None:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(heading.delta_url)], None, None, None)
        told.append((x509.FreshestCRL([point]), False))
    return told
