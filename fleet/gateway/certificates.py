"""The certificates in a gateway's folder. Pure but for chance: keys and signers come in, certificates go out.

All of them begin an hour ago, for slow clocks, and end with the redirect: no file of the folder is good for anything
afterwards.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleet.errors import RefusedError
from protocol.device_id import DeviceId
from provisioning.algorithm import PrivateKey, PublicKey
from provisioning.certify import certify, to_be_signed
from provisioning.file_signer import FileSigner
from provisioning.profile import (
    BACKDATE,
    Validity,
    authority_name,
    device_name,
    gateway_builder,
    is_limited_to_device_hosts,
    issuer_key_identifier,
)
from provisioning.signer import Signer

Serial = Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class GatewayAuthority:
    """The environment's authority of gateways, ready to sign."""

    certificate: x509.Certificate
    signer: Signer

    @classmethod
    def ready(cls, certificate: x509.Certificate, signer: Signer, domain: str) -> "GatewayAuthority":
        """The authority; `RefusedError` when certificate and signer are not of each other, or it may sign more."""
        if certificate.public_key() != signer.public_key():
            raise RefusedError("authority gateway: its certificate belongs to another key; restore the one of this key")
        if not is_limited_to_device_hosts(certificate, domain):
            raise RefusedError(f"authority gateway: is not limited to devices of {domain}; hold its ceremony again")
        return cls(certificate=certificate, signer=signer)


def redirect_validity(now: datetime, expires: datetime) -> Validity:
    """From an hour ago until the redirect ends."""
    return Validity(not_before=now.replace(microsecond=0) - BACKDATE, not_after=expires.replace(microsecond=0))


def server_certificate(
    device: DeviceId,
    domain: str,
    public_key: PublicKey,
    authority: GatewayAuthority,
    *,
    validity: Validity,
    new_serial: Serial,
) -> x509.Certificate:
    """What the gateway shows to the device: the host with the device's own name."""
    if not validity.lies_within(Validity.of(authority.certificate)):
        raise RefusedError(
            f"authority gateway: is valid from {authority.certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{authority.certificate.not_valid_after_utc:%Y-%m-%d}, and the redirect is not within; hold its ceremony"
        )
    builder = gateway_builder(
        device=device,
        domain=domain,
        public_key=public_key,
        issuer=authority.certificate,
        validity=validity,
        serial=new_serial(),
    )
    return certify(to_be_signed(builder), authority.signer)


def admitted_clients(
    device: DeviceId, issuing: Iterable[x509.Certificate], *, validity: Validity, new_serial: Serial
) -> tuple[x509.Certificate, ...]:
    """Trust anchors by which a broker lets in this device and nobody else, whichever of the authorities signed it.

    A root made for the occasion, whose key is forgotten at once, vouches for each issuing authority's name and key
    under name constraints that permit the device's subject alone. So TLS itself refuses every other device of the
    fleet, before MQTT begins, and the permission ends with the redirect.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    signer = FileSigner(key)
    name = authority_name(f"who may call the gateway of {device}"[:64], "Flotilla gateway")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    root_builder = _authority(
        subject=name,
        issuer=name,
        public_key=key.public_key(),
        identifier=identifier,
        validity=validity,
        serial=new_serial(),
        path_length=1,
    )
    root = certify(to_be_signed(root_builder), signer)
    only = x509.NameConstraints(permitted_subtrees=[x509.DirectoryName(device_name(device))], excluded_subtrees=None)
    vouched = []
    for certificate in issuing:
        named = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        public_key = certificate.public_key()
        if not isinstance(public_key, PublicKey):
            raise RefusedError(f"authority {certificate.subject.rfc4514_string()}: has no key of a type of ours")
        builder = _authority(
            subject=certificate.subject,
            issuer=name,
            public_key=public_key,
            identifier=named,
            validity=validity,
            serial=new_serial(),
            path_length=0,
        )
        builder = builder.add_extension(only, critical=True).add_extension(issuer_key_identifier(root), critical=False)
        vouched.append(certify(to_be_signed(builder), signer))
    return (root, *vouched)


def bridge_certificate(
    device: DeviceId, key: PrivateKey, *, validity: Validity, new_serial: Serial
) -> x509.Certificate:
    """By what the gateway is known in the cluster: self-signed, for no authority of ours may have to sign it.

    AWS IoT takes it by RegisterCertificateWithoutCA; it is worth what the policy attached to it says.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"gateway of {device}"[:64])])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _begun(
            subject=name,
            issuer=name,
            public_key=key.public_key(),
            identifier=identifier,
            validity=validity,
            serial=new_serial(),
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    return certify(to_be_signed(builder), FileSigner(key))


def _authority(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    public_key: PublicKey,
    identifier: x509.SubjectKeyIdentifier,
    validity: Validity,
    serial: int,
    path_length: int,
) -> x509.CertificateBuilder:
    return (
        _begun(
            subject=subject,
            issuer=issuer,
            public_key=public_key,
            identifier=identifier,
            validity=validity,
            serial=serial,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )


def _begun(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    public_key: PublicKey,
    identifier: x509.SubjectKeyIdentifier,
    validity: Validity,
    serial: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
        .add_extension(identifier, critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
