"""Certificates that somebody else made: what is wrong with each of a corpus, told with its reason; and what is not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.device_id import DeviceId
from provisioning.algorithm import KeyType, PrivateKey, PublicKey
from provisioning.alternative_name import HardwareModule, HostName
from provisioning.certificate_check import Expected, check_certificate
from provisioning.certify import certify, signed, to_be_signed
from provisioning.der import BOOLEAN_TRUE, OCTET_STRING, SEQUENCE, bit_string, element, positive_integer, sequence
from provisioning.errors import RefusedError
from provisioning.file_signer import FileSigner
from provisioning.profile import Validity, authority_name, device_builder, issuing_builder, root_builder, years
from tests.provisioning import weak
from tests.provisioning.requests import name, p256, rsa_key

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DEVICE = DeviceId("device1")
HOST = "device1.gw.iot.example.com"
EXPECTED = Expected(name=DEVICE, key_type=KeyType.P256, host_name=HOST)
ALWAYS = Validity(not_before=datetime(2026, 1, 1, tzinfo=UTC), not_after=datetime(9999, 12, 31, tzinfo=UTC))

ROOT = FileSigner(p256())
ROOT_CERTIFICATE = certify(
    to_be_signed(
        root_builder(name=authority_name("R", "O"), public_key=ROOT.public_key(), validity=ALWAYS, serial=2**90)
    ),
    ROOT,
)
LINE = FileSigner(p256())
LINE_CERTIFICATE = certify(
    to_be_signed(
        issuing_builder(
            name=authority_name("Line A", "O"),
            public_key=LINE.public_key(),
            path_length=0,
            issuer=ROOT_CERTIFICATE,
            validity=Validity(not_before=NOW - timedelta(days=1), not_after=NOW + years(20)),
            serial=2**90 + 1,
        )
    ),
    ROOT,
)
KEY = p256()
END = NOW + years(15)

Changes = dict[type[x509.ExtensionType], tuple[x509.ExtensionType, bool] | None]
"""Kind of extension to the extension and whether it is critical; None leaves it out."""


def usage(*granted: str) -> x509.KeyUsage:
    flags = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign "
        "encipher_only decipher_only"
    )
    return x509.KeyUsage(**{flag: flag in granted for flag in flags.split()})


def made(
    *,
    key: PrivateKey | ec.EllipticCurvePrivateKey = KEY,
    subject: x509.Name | None = None,
    issuer: x509.Name | None = None,
    serial: int = 2**100 + 7,
    begins: datetime = NOW - timedelta(hours=1),
    ends: datetime = END,
    changed: Changes | None = None,
    algorithm: hashes.SHA224 | None = None,
    signer: FileSigner = LINE,
) -> bytes:
    """A certificate in DER that is good but for what is given; a change of None leaves an extension out."""
    public_key = key.public_key()
    extensions: Changes = {
        x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True),
        x509.KeyUsage: (usage("digital_signature"), True),
        x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
        x509.AuthorityKeyIdentifier: (x509.AuthorityKeyIdentifier.from_issuer_public_key(LINE.public_key()), False),
    }
    extensions |= changed or {}
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(COMMON_NAME=DEVICE, SERIAL_NUMBER=DEVICE) if subject is None else subject)
        .issuer_name(issuer or LINE_CERTIFICATE.subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for extension in extensions.values():
        if extension is not None:
            builder = builder.add_extension(extension[0], critical=extension[1])
    return builder.sign(signer._key, algorithm or hashes.SHA256()).public_bytes(Encoding.DER)


def raw(
    *, version: bytes = b"\xa0\x03\x02\x01\x02", serial: bytes = positive_integer(2**100), more: bytes = b""
) -> bytes:
    """What no builder makes: a TBSCertificate put together by hand, signed all the same."""
    good = x509.load_der_x509_certificate(made())
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    validity = sequence(element(0x17, b"261125110000Z"), element(0x17, b"411125110000Z"))
    fields = algorithm + good.issuer.public_bytes() + validity + good.subject.public_bytes()
    fields += KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) + more
    return signed(element(SEQUENCE, version + serial + fields), LINE)


def raw_extensions(*extensions: bytes) -> bytes:
    return element(0xA3, sequence(*extensions))


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    content = asn1.encode_der(x509.ObjectIdentifier(oid)) + (BOOLEAN_TRUE if critical else b"")
    return element(SEQUENCE, content + element(OCTET_STRING, value))


def replaced(der: bytes, old: bytes, new: bytes) -> bytes:
    assert old in der
    return der.replace(old, new)


def several(**attributes: list[str]) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(getattr(NameOID, kind), value) for kind, values in attributes.items() for value in values]
    )


def names(*general: x509.GeneralName) -> Changes:
    return {x509.SubjectAlternativeName: (x509.SubjectAlternativeName(general), False)}


def eku(*oids: x509.ObjectIdentifier) -> Changes:
    return {x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage(oids), False)}


def flipped(der: bytes, at: int) -> bytes:
    changed = bytearray(der)
    changed[at] ^= 1
    return bytes(changed)


def two_algorithms() -> bytes:
    """Signed with SHA-256, and saying SHA-384 outside of what is signed."""
    good = x509.load_der_x509_certificate(made())
    other = bytes.fromhex("300a06082a8648ce3d040303")
    return sequence(good.tbs_certificate_bytes, other, bit_string(good.signature))


CONSTRAINTS_TWICE = raw_extensions(extension("2.5.29.19", bytes.fromhex("3000")), extension("2.5.29.19", b"\x30\x00"))
BROKEN_USAGE = raw_extensions(extension("2.5.29.15", bytes.fromhex("0403020780"), critical=True))

DEFECTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "no certificate at all": (lambda: b"device1, please", "cannot be read"),
    "cut short": (lambda: made()[:-1], "cannot be read"),
    "one octet more": (lambda: made() + b"\x00", "cannot be read"),
    "version 1": (lambda: raw(version=b""), "it is no X.509 version 3 certificate"),
    "serial number 1": (lambda: made(serial=1), "its serial number has 1 bits and can be guessed"),
    "a serial number that counts": (lambda: made(serial=100_000), "its serial number has 17 bits"),
    "a serial number of 62 bits": (lambda: made(serial=2**62 - 1), "its serial number has 62 bits"),
    "serial number 0": (lambda: raw(serial=b"\x02\x01\x00"), "its serial number is 0, and serial numbers are positive"),
    "a negative serial number": (lambda: raw(serial=b"\x02\x01\xff"), "serial number"),
    "a serial number of 21 octets": (lambda: raw(serial=positive_integer(2**160)), "serial number"),
    "signed by a stranger": (lambda: made(signer=FileSigner(p256())), "its signature is not its issuer's"),
    "one bit of the signature changed": (lambda: flipped(made(), -1), "its signature is not its issuer's"),
    "one bit of the name changed": (
        lambda: replaced(made(), b"device1", b"device0"),
        "its signature is not its issuer's",
    ),
    "two algorithms": (two_algorithms, "Inner and outer signature algorithms do not match"),
    "signed with a weak hash": (lambda: made(algorithm=hashes.SHA224()), "it is signed with sha224, and its issuer"),
    "another issuer's name": (lambda: made(issuer=name(COMMON_NAME="Somebody")), "its issuer is 'CN=Somebody', not"),
    "expired": (
        lambda: made(begins=NOW - timedelta(hours=9), ends=NOW - timedelta(seconds=1)),
        "it expired on 2026-11-25",
    ),
    "not valid yet": (
        lambda: made(begins=NOW + timedelta(seconds=1)),
        "it begins on 2026-11-25 12:00 UTC, which is not",
    ),
    "begins before its issuer": (lambda: made(begins=NOW - timedelta(days=2)), "before its issuer on 2026-11-24"),
    "outlives its issuer": (
        lambda: made(ends=NOW + years(20) + timedelta(seconds=1)),
        "and outlives its issuer, which ends on",
    ),
    "never ends": (lambda: made(ends=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)), "it never ends (9999)"),
    "nobody's": (lambda: made(subject=x509.Name([])), "its subject has no common name"),
    "another device's": (lambda: made(subject=name(COMMON_NAME="device2")), "its subject's common name is 'device2'"),
    "two devices'": (
        lambda: made(subject=several(COMMON_NAME=[DEVICE, "device2"])),
        "its subject has 2 attributes of the kind common name",
    ),
    "another device's serial number": (
        lambda: made(subject=name(COMMON_NAME=DEVICE, SERIAL_NUMBER="device2")),
        "its subject's serial number is 'device2', not 'device1'",
    ),
    "its issuer's key": (lambda: made(key=LINE._key), "its key is that of its issuer"),
    "a key of another type": (
        lambda: made(key=rsa_key(2048)),
        "its key is an RSA key of 2048 bits, and this model has",
    ),
    "a curve of another strength": (
        lambda: made(key=ec.generate_private_key(ec.SECP521R1())),
        "its key is an EC key on secp521r1, and this model has ecdsa-p256",
    ),
    "the key of a counter": (lambda: made(key=weak.ec_key(7)), "its key is weak: it has a private key that a broken"),
    "the key of a stuck generator": (
        lambda: made(key=weak.ec_key(int.from_bytes(b"\xaa" * 32))),
        "its key is weak: it has a private key that a broken random generator gives",
    ),
    "an authority": (
        lambda: made(changed={x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=0), True)}),
        "it is an authority (basic constraints say CA)",
    ),
    "a key for nothing in particular": (
        lambda: made(changed={x509.KeyUsage: None}),
        "it does not say what its key is for",
    ),
    "a key that signs certificates": (
        lambda: made(changed={x509.KeyUsage: (usage("digital_signature", "key_cert_sign"), True)}),
        "its key may sign certificates",
    ),
    "a key that cannot sign": (
        lambda: made(changed={x509.KeyUsage: (usage("key_agreement"), True)}),
        "key usage without digital signature",
    ),
    "good for everything": (lambda: made(changed={x509.ExtendedKeyUsage: None}), "it is for everything"),
    "a server": (lambda: made(changed=eku(ExtendedKeyUsageOID.SERVER_AUTH)), "it may not prove a client"),
    "a client and a server": (
        lambda: made(changed=eku(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)),
        "it is for more than a client: extended key usage 1.3.6.1.5.5.7.3.1",
    ),
    "any purpose": (
        lambda: made(changed=eku(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)),
        "it is for more than a client: extended key usage 2.5.29.37.0",
    ),
    "without a key identifier": (lambda: made(changed={x509.SubjectKeyIdentifier: None}), "no subject key identifier"),
    "another key's identifier": (
        lambda: made(changed={x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier(bytes(20)), False)}),
        "its subject key identifier is of another key",
    ),
    "without its issuer's identifier": (
        lambda: made(changed={x509.AuthorityKeyIdentifier: None}),
        "it has no authority key identifier",
    ),
    "another issuer's identifier": (
        lambda: made(
            changed={x509.AuthorityKeyIdentifier: (x509.AuthorityKeyIdentifier(bytes(20), None, None), False)}
        ),
        "its authority key identifier is of another authority's key",
    ),
    "a cluster's name": (
        lambda: made(changed=names(x509.DNSName("eu1.clusters.iot.example.com"))),
        "its alternative name eu1.clusters.iot.example.com is the address of something",
    ),
    "an address": (
        lambda: made(changed=names(x509.UniformResourceIdentifier("urn:dev:1"))),
        "its alternative name urn:dev:1 is the address of something",
    ),
    "a demand nobody understands": (
        lambda: made(
            changed={
                x509.UnrecognizedExtension: (
                    x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"), b"\x05\x00"),
                    True,
                )
            }
        ),
        "its critical extension 1.3.6.1.4.1.32473.9 is none that we understand",
    ),
    "the same extension twice": (lambda: raw(more=CONSTRAINTS_TWICE), "it cannot be read as RFC 5280 wants it"),
    "an extension that is no DER": (lambda: raw(more=BROKEN_USAGE), "it cannot be read as RFC 5280 wants it"),
}


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@pytest.mark.parametrize("case", DEFECTS)
def test_a_defective_certificate_is_refused_with_its_reason(case: str) -> None:
    make, reason = DEFECTS[case]
    with pytest.raises(RefusedError) as refused:
        check_certificate(make(), LINE_CERTIFICATE, EXPECTED, now=NOW)
    assert reason in str(refused.value)


def test_every_reason_is_told_at_once_and_each_of_them_once() -> None:
    with pytest.raises(RefusedError) as refused:
        check_certificate(raw(version=b"", serial=b"\x02\x01\x01"), LINE_CERTIFICATE, EXPECTED, now=NOW)
    reasons = str(refused.value).splitlines()[1:]
    assert len(reasons) == len(set(reasons)) == 6, reasons


@pytest.mark.parametrize("key_type", KeyType)
@pytest.mark.parametrize("alternative", [None, HostName("iot.example.com"), HardwareModule("1.3.6.1.4.1.32473.1")])
def test_what_we_make_ourselves_is_accepted(key_type: KeyType, alternative: HostName | HardwareModule | None) -> None:
    key: PublicKey = key_type.generate().public_key()
    builder = device_builder(
        device=DEVICE,
        public_key=key,
        issuer=LINE_CERTIFICATE,
        validity=Validity.lasting(years(15), now=NOW),
        serial=2**158,
        alternative_name=alternative,
    )
    der = certify(to_be_signed(builder), LINE).public_bytes(Encoding.DER)
    expected = Expected(name=DEVICE, key_type=key_type, host_name=HOST)
    assert check_certificate(der, LINE_CERTIFICATE, expected, now=NOW).public_key() == key


def test_a_mistake_that_several_rules_meet_is_told_once() -> None:
    with pytest.raises(RefusedError) as refused:
        check_certificate(raw(more=CONSTRAINTS_TWICE), LINE_CERTIFICATE, EXPECTED, now=NOW)
    reasons = str(refused.value).splitlines()[1:]
    assert len(reasons) == 1, reasons


def test_dates_and_serial_numbers_at_their_bounds_are_good() -> None:
    life = Validity.of(LINE_CERTIFICATE)
    check_certificate(made(begins=life.not_before, ends=life.not_after), LINE_CERTIFICATE, EXPECTED, now=NOW)
    check_certificate(made(begins=NOW, ends=NOW), LINE_CERTIFICATE, EXPECTED, now=NOW)
    for serial in (2**62, 2**159 - 1):
        check_certificate(made(serial=serial), LINE_CERTIFICATE, EXPECTED, now=NOW)


def test_the_maker_of_the_corpus_makes_good_certificates_too() -> None:
    for good in (made(), made(serial=2**63 - 1 + 2**62), made(changed={x509.BasicConstraints: None})):
        check_certificate(good, LINE_CERTIFICATE, EXPECTED, now=NOW)


def test_an_authority_whose_key_may_not_sign_certificates_makes_nothing_good() -> None:
    authority = x509.load_der_x509_certificate(
        made(
            key=LINE._key,
            subject=LINE_CERTIFICATE.subject,
            ends=END + years(2),
            changed={
                x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=0), True),
                x509.KeyUsage: (usage("crl_sign"), True),
            },
        )
    )
    with pytest.raises(RefusedError, match="its issuer is no authority that may sign certificates"):
        check_certificate(made(), authority, EXPECTED, now=NOW)


def test_an_issuer_that_is_no_authority_makes_nothing_good() -> None:
    device = x509.load_der_x509_certificate(made())
    with pytest.raises(RefusedError, match="its issuer is no authority that may sign certificates"):
        check_certificate(made(issuer=device.subject, signer=FileSigner(KEY)), device, EXPECTED, now=NOW)
