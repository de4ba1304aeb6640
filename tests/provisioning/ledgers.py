"""Requests, an authority and issuances for a ledger without a factory around it."""

from datetime import UTC, datetime, timedelta

from cryptography import x509

from protocol.device_id import DeviceId
from provisioning.algorithm import KeyType
from provisioning.authority import IssuingAuthority
from provisioning.birth import BirthProfile
from provisioning.certify import certify, to_be_signed
from provisioning.draft import draft
from provisioning.file_signer import FileSigner
from provisioning.issue import issue
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Intent
from provisioning.profile import Validity, authority_name, root_builder, years
from provisioning.request import Request
from tests.provisioning.requests import p256

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROFILE = BirthProfile(key_type=KeyType.P256, lifetime=timedelta(days=5479))
DEVICE = DeviceId("device1")


def make_authority(name: str = "line-a") -> IssuingAuthority:
    signer = FileSigner(p256())
    validity = Validity.lasting(years(20), now=NOW)
    subject = authority_name(name, "O")
    builder = root_builder(name=subject, public_key=signer.public_key(), validity=validity, serial=1)
    certificate = certify(to_be_signed(builder), signer)
    return IssuingAuthority.ready(name=name, certificate=certificate, signer=signer, root=None, now=NOW)


AUTHORITY = make_authority()


def ask(device: DeviceId = DEVICE) -> Request:
    return Request.of_key(p256().public_key(), device=device, model="fl50", authority="line-a", key_type=KeyType.P256)


def intend(request: Request, authority: IssuingAuthority = AUTHORITY, now: datetime = NOW) -> Intent:
    return draft(request, authority.template, profile=PROFILE, now=now, serial=x509.random_serial_number())


def issued(ledger: Ledger, request: Request, authority: IssuingAuthority = AUTHORITY) -> Identity:
    return issue(request, authority, ledger, profile=PROFILE, clock=lambda: NOW, new_serial=x509.random_serial_number)
