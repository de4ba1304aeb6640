"""From a request to what would be signed: every field of it, and when there is nothing to sign."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from protocol.device_id import DeviceId
from provisioning.algorithm import KeyType, public_key_der
from provisioning.alternative_name import HARDWARE_MODULE_NAME, HardwareModule, HostName
from provisioning.birth import BirthProfile, BirthTemplate
from provisioning.certify import certify, to_be_signed
from provisioning.draft import draft
from provisioning.errors import RefusedError
from provisioning.file_signer import FileSigner
from provisioning.ledger.records import Intent
from provisioning.profile import BACKDATE, Validity, authority_name, root_builder
from provisioning.request import Request
from tests.provisioning.requests import csr, name, p256

MADE = datetime(2026, 11, 25, 12, tzinfo=UTC)
SIGNER = FileSigner(p256())
LIFE = Validity(not_before=MADE, not_after=MADE + timedelta(days=100))
CERTIFICATE = certify(
    to_be_signed(
        root_builder(name=authority_name("A", "O"), public_key=SIGNER.public_key(), validity=LIFE, serial=2**90)
    ),
    SIGNER,
)
TEMPLATE = BirthTemplate.of("line-a", CERTIFICATE)
KEY = p256()
REQUEST = Request.from_csr(
    csr(KEY, name(COMMON_NAME="device1")),
    device=DeviceId("device1"),
    model="fl100",
    authority="line-a",
    key_type=KeyType.P256,
)


def drafted(now: datetime, *, days: int = 10, **changed: HostName | HardwareModule) -> Intent:
    profile = BirthProfile(key_type=KeyType.P256, lifetime=timedelta(days=days), **changed)
    return draft(REQUEST, TEMPLATE, profile=profile, now=now, serial=2**100 + 1)


def certificate(intent: Intent) -> x509.Certificate:
    return certify(intent.to_be_signed, SIGNER)


def test_a_request_is_what_was_asked_and_the_key_that_was_proven() -> None:
    assert (REQUEST.device, REQUEST.model, REQUEST.authority) == ("device1", "fl100", "line-a")
    assert (REQUEST.key_type, REQUEST.spki) == (KeyType.P256, public_key_der(KEY.public_key()))


def test_an_intent_says_what_its_bytes_say() -> None:
    now = MADE + timedelta(days=1)
    intent = drafted(now)
    made = certificate(intent)
    assert (intent.device, intent.model, intent.authority) == ("device1", "fl100", "line-a")
    assert (intent.key_hash, intent.serial) == (REQUEST.key_hash, made.serial_number)
    assert (intent.not_before, intent.not_after) == (made.not_valid_before_utc, made.not_valid_after_utc)
    assert (made.not_valid_before_utc, Validity.of(made).lifetime) == (now - BACKDATE, timedelta(days=10))
    assert made.public_key() == KEY.public_key()
    made.verify_directly_issued_by(CERTIFICATE)


def test_a_certificate_begins_no_earlier_than_an_issuer_made_a_moment_ago() -> None:
    made = certificate(drafted(MADE + timedelta(minutes=5)))
    assert made.not_valid_before_utc == MADE
    assert made.not_valid_after_utc == MADE + timedelta(minutes=5) - BACKDATE + timedelta(days=10, seconds=-1)


def test_a_certificate_may_end_with_its_issuer_and_not_a_second_later() -> None:
    last = LIFE.not_after + timedelta(seconds=1) + BACKDATE - timedelta(days=10)
    assert drafted(last).not_after == LIFE.not_after
    with pytest.raises(RefusedError, match="after its issuer line-a on 2027-03-05; issue with a younger authority"):
        drafted(last + timedelta(seconds=1))


def test_the_key_of_the_authority_is_nobodys() -> None:
    greedy = Request.of_key(
        SIGNER.public_key(), device=DeviceId("d"), model="m", authority="line-a", key_type=KeyType.P256
    )
    profile = BirthProfile(key_type=KeyType.P256, lifetime=timedelta(days=1))
    with pytest.raises(RefusedError, match="device d asks with the key of authority line-a; make a new key"):
        draft(greedy, TEMPLATE, profile=profile, now=MADE, serial=2**100)


def test_the_alternative_name_is_the_profiles() -> None:
    def names(intent: Intent) -> list[x509.GeneralName]:
        return list(certificate(intent).extensions.get_extension_for_class(x509.SubjectAlternativeName).value)

    now = MADE + timedelta(days=1)
    assert names(drafted(now, alternative_name=HostName("iot.example.com"))) == [
        x509.DNSName("device1.gw.iot.example.com")
    ]
    # RFC 4108, section 5: SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING }
    written = bytes.fromhex("3014 0609 2b06010401 81fd5901 0407") + b"device1"
    assert names(drafted(now, alternative_name=HardwareModule("1.3.6.1.4.1.32473.1"))) == [
        x509.OtherName(HARDWARE_MODULE_NAME, written)
    ]
    with pytest.raises(x509.ExtensionNotFound):
        names(drafted(now))
