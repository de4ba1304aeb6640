"""What stands in our certificates: the one place where RFC 5280 and IEEE 802.1AR become extensions.

Pure: a builder without a signature comes out.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.device_id import DeviceId
from protocol.hostnames import DEVICE_ZONE_LABEL, device_hostname
from provisioning.algorithm import PublicKey
from provisioning.alternative_name import AlternativeName

BACKDATE = timedelta(hours=1)
"""How far before now a certificate begins: whoever checks it may have a slow clock. Let's Encrypt does the same."""
MAX_NAME_CHARACTERS = 64
"""RFC 5280, appendix A.1: ub-common-name and ub-organization-name."""

ROOT_PATH_LENGTH = 2
"""Issuing authority and station: what may stand between a root and a device."""

_NO_ADDRESS = [x509.IPAddress(ipaddress.ip_network(every)) for every in ("0.0.0.0/0", "::/0")]
"""A permitted DNS name says nothing of addresses (RFC 5280, section 4.2.1.10), so those are excluded."""

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Validity:
    """From the first to the last second a certificate is valid; both count (RFC 5280, section 4.1.2.5). UTC."""

    not_before: datetime
    not_after: datetime

    @classmethod
    def lasting(cls, lifetime: timedelta, *, now: datetime) -> Self:
        """A validity of `lifetime` that began a little before `now`."""
        not_before = now.replace(microsecond=0) - BACKDATE
        return cls(not_before=not_before, not_after=not_before + lifetime - _SECOND)

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Self:
        """The validity in a certificate."""
        return cls(not_before=certificate.not_valid_before_utc, not_after=certificate.not_valid_after_utc)

    @property
    def lifetime(self) -> timedelta:
        """How long it lasts."""
        return self.not_after - self.not_before + _SECOND

    def lies_within(self, other: Self) -> bool:
        """Whether `other` is valid the whole time."""
        return other.not_before <= self.not_before and self.not_after <= other.not_after


def years(count: int) -> timedelta:
    """`count` years as certificates count them here: 365.25 days each, whole days."""
    return timedelta(days=round(count * 365.25))


def authority_name(common_name: str, organization: str) -> x509.Name:
    """The subject of a root or an issuing authority."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def device_name(device: DeviceId) -> x509.Name:
    """The subject of a device: its id as common name and, as IEEE 802.1AR section 8.6 wants, as serial number."""
    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, device), x509.NameAttribute(NameOID.SERIAL_NUMBER, device)]
    )


def root_builder(*, name: x509.Name, public_key: PublicKey, validity: Validity, serial: int) -> x509.CertificateBuilder:
    """A root: it signs issuing authorities, below them may be stations, and nothing below those may be an authority."""
    builder = _builder(subject=name, issuer=name, public_key=public_key, validity=validity, serial=serial)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    return _authority(builder, path_length=ROOT_PATH_LENGTH).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    )


def issuing_builder(
    *,
    name: x509.Name,
    public_key: PublicKey,
    path_length: int,
    issuer: x509.Certificate,
    validity: Validity,
    serial: int,
    domain: str | None = None,
) -> x509.CertificateBuilder:
    """An issuing authority of one supplier or line; with a `domain` it may name no host but that domain's devices."""
    builder = _builder(subject=name, issuer=issuer.subject, public_key=public_key, validity=validity, serial=serial)
    builder = _authority(builder, path_length=path_length)
    if domain is not None:
        builder = builder.add_extension(_device_hosts(domain), critical=True)
    return builder.add_extension(issuer_key_identifier(issuer), critical=False)


def station_builder(
    *,
    name: x509.Name,
    public_key: PublicKey,
    signs: Validity,
    issuer: x509.Certificate,
    validity: Validity,
    serial: int,
) -> x509.CertificateBuilder:
    """The intermediate of a station: devices below it, which are clients; its lease stands beside its life (ADR 10)."""
    builder = _builder(subject=name, issuer=issuer.subject, public_key=public_key, validity=validity, serial=serial)
    lease = x509.PrivateKeyUsagePeriod(signs.not_before.replace(tzinfo=None), signs.not_after.replace(tzinfo=None))
    return (
        _authority(builder, path_length=0)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(lease, critical=False)
        .add_extension(issuer_key_identifier(issuer), critical=False)
    )


def device_builder(
    *,
    device: DeviceId,
    public_key: PublicKey,
    issuer: x509.Certificate,
    validity: Validity,
    serial: int,
    alternative_name: AlternativeName | None = None,
) -> x509.CertificateBuilder:
    """The birth certificate of a device: it may prove who it is to a server, and nothing else.

    This is how it is meant; `provisioning.birth` gives the same bytes faster.
    """
    builder = _builder(
        subject=device_name(device), issuer=issuer.subject, public_key=public_key, validity=validity, serial=serial
    )
    for usage, critical in DEVICE_USAGE:
        builder = builder.add_extension(usage, critical=critical)
    if alternative_name is not None:
        names = x509.SubjectAlternativeName([alternative_name.name(device)])
        builder = builder.add_extension(names, critical=False)
    return builder.add_extension(issuer_key_identifier(issuer), critical=False)


def gateway_authority_builder(
    *, name: x509.Name, public_key: PublicKey, domain: str, validity: Validity, serial: int
) -> x509.CertificateBuilder:
    """The authority of gateways: its own root, so that devices can trust it without trusting any other of ours.

    It may sign servers alone, and only under `gw.<domain>`: whoever stole its key is still no cluster.
    """
    builder = _builder(subject=name, issuer=name, public_key=public_key, validity=validity, serial=serial)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    return (
        _authority(builder, path_length=0)
        .add_extension(_device_hosts(domain), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )


def is_limited_to_device_hosts(authority: x509.Certificate, domain: str) -> bool:
    """Whether an authority may sign names of devices of the domain, and no others."""
    try:
        return authority.extensions.get_extension_for_class(x509.NameConstraints).value == _device_hosts(domain)
    except x509.ExtensionNotFound:
        return False


def gateway_builder(
    *,
    device: DeviceId,
    domain: str,
    public_key: PublicKey,
    issuer: x509.Certificate,
    validity: Validity,
    serial: int,
) -> x509.CertificateBuilder:
    """The server certificate of a gateway: it is the host with the device's own name, and no other.

    The subject is a short text for people; who verifies reads the alternative name (RFC 9525, section 2).
    """
    builder = _builder(
        subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"gateway of {device}"[:MAX_NAME_CHARACTERS])]),
        issuer=issuer.subject,
        public_key=public_key,
        validity=validity,
        serial=serial,
    )
    hostname = x509.SubjectAlternativeName([x509.DNSName(device_hostname(device, domain))])
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(hostname, critical=False)
        .add_extension(issuer_key_identifier(issuer), critical=False)
    )


def issuer_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """What a certificate says of its issuer's key."""
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _device_hosts(domain: str) -> x509.NameConstraints:
    devices = x509.DNSName(f"{DEVICE_ZONE_LABEL}.{domain}")
    return x509.NameConstraints(permitted_subtrees=[devices], excluded_subtrees=_NO_ADDRESS)


def _builder(
    *, subject: x509.Name, issuer: x509.Name, public_key: PublicKey, validity: Validity, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _authority(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        _key_usage(key_cert_sign=True, crl_sign=True), critical=True
    )


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


DEVICE_USAGE: tuple[tuple[x509.BasicConstraints | x509.KeyUsage | x509.ExtendedKeyUsage, bool], ...] = (
    (x509.BasicConstraints(ca=False, path_length=None), True),
    (_key_usage(digital_signature=True), True),
    (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
)
"""What every device may do with its certificate, and whether who does not understand it must refuse."""
