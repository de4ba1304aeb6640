"""A signer whose key never leaves AWS KMS. KMS signs at most 300 ECC digests a second per account and region."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from provisioning.cloud import asking
from provisioning.errors import CloudError, RefusedError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


@dataclass(frozen=True)
class KmsSigner:
    """Signs with the key `key_arn`, whose public half was fetched once."""

    _client: "KMSClient"
    key_arn: str
    _public_key: ec.EllipticCurvePublicKey

    @classmethod
    def of(cls, client: "KMSClient", key_arn: str) -> Self:
        """The signer of a KMS key; `RefusedError` when it is no P-256 signing key, `CloudError` when KMS says no."""
        with asking(f"kms:GetPublicKey of {key_arn}"):
            answer = client.get_public_key(KeyId=key_arn)
        try:
            public_key = serialization.load_der_public_key(answer["PublicKey"])
        except (KeyError, ValueError) as error:
            raise CloudError(f"{key_arn}: KMS gave no public key ({error!r}); try again") from error
        if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(public_key.curve, ec.SECP256R1):
            raise RefusedError(f"{key_arn}: is no ECC_NIST_P256 key, and authorities sign with P-256; deploy one")
        if answer.get("KeyUsage") != "SIGN_VERIFY":
            raise RefusedError(f"{key_arn}: its usage is {answer.get('KeyUsage')}, not SIGN_VERIFY; deploy a new key")
        return cls(client, key_arn, public_key)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """See `Signer.sign`; only the digest travels. `CloudError` when KMS does not answer with a signature."""
        with asking(f"kms:Sign with {self.key_arn}"):
            answer = self._client.sign(
                KeyId=self.key_arn,
                Message=hashlib.sha256(message).digest(),
                MessageType="DIGEST",
                SigningAlgorithm="ECDSA_SHA_256",
            )
        signature = answer.get("Signature")
        if not signature:
            raise CloudError(f"{self.key_arn}: KMS answered without a signature; try again")
        return signature
