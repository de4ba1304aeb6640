"""An issuing authority in the cloud (design decision 6): its key, and its certificate known to every cluster.

A first deployment makes the key; a ceremony then makes the certificate, whose file beside the stack lets the next
deployment register it. Certificates are registered in SNI_ONLY mode, so that several accounts and regions know them.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from components.naming import Naming
from components.policies.keys import authority_key_policy
from components.policy_text import policy_text
from stacks.environment import AuthorityKey, CaCertificate

KEY_SPEC = "ECC_NIST_P256"
KEY_DELETION_DAYS = 30  # KMS: the longest waiting period; a lost key ends every identity it would have renewed


class WrongAuthorityKeyError(ValueError):
    """A CA certificate is not of the key this deployment has for the authority."""


@dataclass(frozen=True, kw_only=True)
class CertificateAuthorityArgs:
    """Which authority, where its key lives, and its certificate once there is one."""

    naming: Naming
    authority: str
    key: AuthorityKey
    home_region: str
    cluster_regions: Mapping[str, str]
    """Cluster to region: where the certificate is registered. None for the authority of gateways: a CA that AWS IoT
    knows admits devices."""
    certificate: CaCertificate | None


class CertificateAuthority(pulumi.ComponentResource):
    """The key where it lives in KMS, and the registrations of the certificate where there is one."""

    key_arn: pulumi.Output[str] | None
    ca_certificate_ids: dict[str, pulumi.Output[str]]
    """By cluster; empty before the ceremony."""

    def __init__(self, name: str, args: CertificateAuthorityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:CertificateAuthority", name, None, opts)
        self._name, self._args = name, args
        self._tags = args.naming.tags(name)
        self.key_arn = self._key() if args.key is AuthorityKey.KMS else None
        self.ca_certificate_ids = self._register(args.certificate) if args.certificate else {}
        self.register_outputs({"key_arn": self.key_arn, "ca_certificate_ids": self.ca_certificate_ids})

    def _key(self) -> pulumi.Output[str]:
        naming = self._args.naming
        key = aws.kms.Key(
            f"{self._name}-key",
            description=f"Flotilla {naming.environment}: issuing authority {self._args.authority}",
            customer_master_key_spec=KEY_SPEC,
            key_usage="SIGN_VERIFY",
            deletion_window_in_days=KEY_DELETION_DAYS,
            policy=policy_text(authority_key_policy, account_id=naming.account_id),
            region=self._args.home_region,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        aws.kms.Alias(
            f"{self._name}-key-alias",
            name=f"alias/{naming.name(f'authority-{self._args.authority}')}",
            target_key_id=key.key_id,
            region=self._args.home_region,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return key.arn

    def _register(self, certificate: CaCertificate) -> dict[str, pulumi.Output[str]]:
        """Make the certificate known to every cluster, so that unknown devices of the authority register themselves."""
        pem = self._verified(certificate)
        return {
            cluster: aws.iot.CaCertificate(
                f"{self._name}-{cluster}",
                ca_certificate_pem=pem,
                certificate_mode="SNI_ONLY",
                active=True,
                allow_auto_registration=True,
                region=region,
                tags=self._tags,
                opts=pulumi.ResourceOptions(parent=self, protect=self._args.naming.protects),
            ).id
            for cluster, region in self._args.cluster_regions.items()
        }

    def _verified(self, certificate: CaCertificate) -> pulumi.Input[str]:
        """The certificate, once it is known to be of our key: registering another's would admit their devices."""
        if self.key_arn is None:
            return certificate.pem
        held = aws.kms.get_public_key_output(key_id=self.key_arn, region=self._args.home_region)
        return held.public_key.apply(lambda public_key: certificate_of(certificate, public_key=public_key))

    def outputs(self) -> dict[str, Any]:
        """What `stacks.outputs.AuthorityOutputs` says of the authority."""
        return {
            "key": self._args.key.value,
            "key_arn": self.key_arn,
            "key_region": self._args.home_region if self.key_arn is not None else None,
            "ca_certificate_ids": self.ca_certificate_ids,
        }


def way_to_certificate(stack: str, authority: str, key: AuthorityKey) -> str:
    """How the certificate of an authority comes to be beside the stack file."""
    if key is AuthorityKey.VENDOR:
        return f"put the vendor's certificate into stacks/authorities/{stack}/{authority}.pem"
    if key is AuthorityKey.PKCS11:
        return (
            f"a station, at its HSM: python -m provisioning station request {authority} --stack {stack} --factory "
            f"factory --out {authority}.csr.pem, then as docs/signers.md says; an authority, at its HSM: the ceremony"
        )
    return ceremony_command(stack)


def ceremony_command(stack: str) -> str:
    """What makes the certificates of a stack's authorities, once its first deployment made the keys."""
    return (
        f"python -m provisioning ceremony stacks/factories/{stack}.yaml --factory factory "
        f"--out stacks/authorities/{stack} --outputs {stack}.outputs.json"
    )


def certificate_of(certificate: CaCertificate, *, public_key: str) -> str:
    """The PEM of `certificate` if its key is `public_key` (base64 of the DER), or `WrongAuthorityKeyError`."""
    certified = x509.load_pem_x509_certificate(certificate.pem.encode("ascii")).public_key()
    if certified.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != base64.b64decode(public_key):
        raise WrongAuthorityKeyError(
            f"the certificate of authority {certificate.authority!r} is not of its KMS key, so devices it signed are "
            f"not ours to admit; put {certificate.authority}.pem of this environment's own ceremony in its place"
        )
    return certificate.pem
