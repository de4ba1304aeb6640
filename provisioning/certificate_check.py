"""A device's certificate that somebody else made, or that comes back from a file: everything that is wrong with it.

The judges of the tests each miss something: none sees a certificate that outlives its issuer, ends in 9999, or has the
serial number 1. This sees those too. Pure; the library parses and verifies.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provisioning.algorithm import Algorithm, KeyType, PublicKey
from provisioning.errors import RefusedError
from provisioning.profile import Validity, issuer_key_identifier
from provisioning.request import check_key, check_spelling

MIN_SERIAL_BITS = 63
"""CA/Browser Forum baseline requirements, 7.1: at least 64 bits of chance. The first bit may happen to be 0."""
MAX_SERIAL_BITS = 159
"""RFC 5280, section 4.1.2.2: 20 octets, positive."""
ENDLESS_YEAR = 9999
"""RFC 5280, section 4.1.2.5: 99991231235959Z says that a certificate never ends."""

_UNDERSTOOD = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectAlternativeName,
    x509.SubjectKeyIdentifier,
    x509.AuthorityKeyIdentifier,
)
_HARMLESS_NAMES = (x509.OtherName, x509.DirectoryName, x509.RegisteredID)
"""Alternative names by which nobody finds a host."""

_NAMES = ((NameOID.COMMON_NAME, "common name", True), (NameOID.SERIAL_NUMBER, "serial number", False))
"""What a subject may say of a device, and whether it must."""

Objections = Iterator[str]
Kind = TypeVar("Kind", bound=x509.ExtensionType)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a certificate must be, to be taken for the identity of a device."""

    name: str
    """In its subject: the device id, or what a vendor calls the element."""
    key_type: KeyType
    host_name: str | None = None
    """The one DNS name it may carry."""


def check_certificate(der: bytes, issuer: x509.Certificate, expected: Expected, *, now: datetime) -> x509.Certificate:
    """The certificate in `der`; `RefusedError` tells every reason why it cannot be an identity, one a line."""
    try:
        certificate = x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise RefusedError(f"the certificate of {expected.name} cannot be read ({error}); ask for it again") from error
    found = list(objections(certificate, issuer, expected, now=now))
    if found:
        told = "".join(f"\n- {each}" for each in found)
        raise RefusedError(f"the certificate of {expected.name} is refused; ask its maker for another:{told}")
    return certificate


def objections(
    certificate: x509.Certificate, issuer: x509.Certificate, expected: Expected, *, now: datetime
) -> Objections:
    """Everything that is wrong with a certificate of `issuer`, told in words; nothing where it is good."""
    case = _Case(certificate, issuer, expected, now)
    told = set()
    for rule in _RULES:
        for objection in _asked(rule, case):
            if objection not in told:
                told.add(objection)
                yield objection


def _asked(rule: Callable[["_Case"], Objections], case: "_Case") -> Objections:
    try:
        yield from rule(case)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        yield f"it cannot be read as RFC 5280 wants it ({error})"


@dataclass(frozen=True)
class _Case:
    certificate: x509.Certificate
    issuer: x509.Certificate
    expected: Expected
    now: datetime

    @cached_property
    def extensions(self) -> x509.Extensions:
        return self.certificate.extensions


def _version_and_serial(case: _Case) -> Objections:
    if case.certificate.version is not x509.Version.v3:
        yield "it is no X.509 version 3 certificate, so it cannot say what it may be used for"
    serial = case.certificate.serial_number
    if serial <= 0:
        yield f"its serial number is {serial}, and serial numbers are positive"
    elif serial.bit_length() < MIN_SERIAL_BITS:
        yield f"its serial number has {serial.bit_length()} bits and can be guessed; 64 random bits are the least"
    elif serial.bit_length() > MAX_SERIAL_BITS:
        yield f"its serial number has {serial.bit_length()} bits, and 20 octets are the most"


def _signature(case: _Case) -> Objections:
    algorithm = Algorithm.of(case.issuer.public_key())
    if case.certificate.issuer != case.issuer.subject:
        yield (
            f"its issuer is {case.certificate.issuer.rfc4514_string()!r}, not {case.issuer.subject.rfc4514_string()!r}"
        )
        return
    signed_with = case.certificate.signature_hash_algorithm
    if signed_with is None or signed_with.name != algorithm.facts.hash.name:
        yield f"it is signed with {signed_with.name if signed_with else 'no hash'}, and its issuer signs {algorithm}"
    try:
        case.certificate.verify_directly_issued_by(case.issuer)
    except InvalidSignature:
        yield "its signature is not its issuer's"


def _issuer_may_sign(case: _Case) -> Objections:
    try:
        constraints = case.issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = case.issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        yield "its issuer does not say that it is an authority"
        return
    if not (constraints.ca and usage.key_cert_sign):
        yield "its issuer is no authority that may sign certificates"


def _validity(case: _Case) -> Objections:
    life = Validity.of(case.certificate)
    if life.not_after < life.not_before:
        yield f"it ends on {life.not_after:%Y-%m-%d}, before it begins on {life.not_before:%Y-%m-%d}"
        return
    if life.not_after.year == ENDLESS_YEAR:
        yield "it never ends (9999), and no algorithm lasts that long"
    if life.not_after < case.now:
        yield f"it expired on {life.not_after:%Y-%m-%d}"
    if life.not_before > case.now:
        yield f"it begins on {life.not_before:%Y-%m-%d %H:%M} UTC, which is not yet"
    issuer = Validity.of(case.issuer)
    if life.not_after > issuer.not_after:
        yield f"it ends on {life.not_after:%Y-%m-%d} and outlives its issuer, which ends on {issuer.not_after:%Y-%m-%d}"
    if life.not_before < issuer.not_before:
        yield f"it begins on {life.not_before:%Y-%m-%d}, before its issuer on {issuer.not_before:%Y-%m-%d}"


def _subject(case: _Case) -> Objections:
    for oid, called, is_needed in _NAMES:
        values = [attribute.value for attribute in case.certificate.subject.get_attributes_for_oid(oid)]
        if len(values) > 1:
            yield f"its subject has {len(values)} attributes of the kind {called}; one says who it is"
        if is_needed and not values:
            yield f"its subject has no {called}, so it says not who it is"
        for value in values:
            if value != case.expected.name:
                yield f"its subject's {called} is {value!r}, not {case.expected.name!r}"


def _key(case: _Case) -> Objections:
    public_key = case.certificate.public_key()
    if public_key == case.issuer.public_key():
        yield "its key is that of its issuer"
    try:
        check_spelling(check_key(public_key, case.expected.key_type), case.certificate.tbs_certificate_bytes)
    except RefusedError as refused:
        yield str(refused).replace("the request's", "its", 1)


def _basic_constraints(case: _Case) -> Objections:
    for extension in _of(case, x509.BasicConstraints):
        if extension.value.ca:
            yield "it is an authority (basic constraints say CA), and a device is none"


def _key_usage(case: _Case) -> Objections:
    found = list(_of(case, x509.KeyUsage))
    if not found:
        yield "it does not say what its key is for (no key usage)"
    for extension in found:
        usage = extension.value
        if not usage.digital_signature:
            yield "its key may not sign (key usage without digital signature), so it cannot prove itself in TLS"
        if usage.key_cert_sign or usage.crl_sign:
            yield "its key may sign certificates or revocation lists, which only an authority's may"


def _extended_key_usage(case: _Case) -> Objections:
    found = list(_of(case, x509.ExtendedKeyUsage))
    if not found:
        yield "it is for everything (no extended key usage), and a device is a client alone"
    for extension in found:
        if ExtendedKeyUsageOID.CLIENT_AUTH not in extension.value:
            yield "it may not prove a client (extended key usage without clientAuth)"
        others = [each.dotted_string for each in extension.value if each != ExtendedKeyUsageOID.CLIENT_AUTH]
        if others:
            yield f"it is for more than a client: extended key usage {', '.join(others)}"


def _key_identifiers(case: _Case) -> Objections:
    identifiers = list(_of(case, x509.SubjectKeyIdentifier))
    if not identifiers:
        yield "it has no subject key identifier"
    public_key = case.certificate.public_key()
    if isinstance(public_key, PublicKey):
        own = x509.SubjectKeyIdentifier.from_public_key(public_key)
        if any(extension.value != own for extension in identifiers):
            yield "its subject key identifier is of another key"
    named = list(_of(case, x509.AuthorityKeyIdentifier))
    if not named:
        yield "it has no authority key identifier"
    wanted = issuer_key_identifier(case.issuer).key_identifier
    if any(extension.value.key_identifier != wanted for extension in named):
        yield "its authority key identifier is of another authority's key"


def _alternative_names(case: _Case) -> Objections:
    for extension in _of(case, x509.SubjectAlternativeName):
        for name in extension.value:
            is_its_own = isinstance(name, x509.DNSName) and name.value == case.expected.host_name
            if not (is_its_own or isinstance(name, _HARMLESS_NAMES)):
                yield f"its alternative name {name.value!s} is the address of something that a device is not"


def _critical_extensions(case: _Case) -> Objections:
    for extension in case.extensions:
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            yield f"its critical extension {extension.oid.dotted_string} is none that we understand"


_RULES: tuple[Callable[[_Case], Objections], ...] = (
    _version_and_serial,
    _signature,
    _issuer_may_sign,
    _validity,
    _subject,
    _key,
    _basic_constraints,
    _key_usage,
    _extended_key_usage,
    _key_identifiers,
    _alternative_names,
    _critical_extensions,
)


def _of(case: _Case, kind: type[Kind]) -> Iterator[x509.Extension[Kind]]:
    try:
        yield case.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return
