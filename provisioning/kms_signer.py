"""A signer whose key never leaves AWS KMS. KMS signs at most 300 ECC digests a second per account and region."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography.hazmat.primitives import serialization

from provisioning.algorithm import Algorithm, KeyType, PublicKey
from provisioning.cloud import asking
from provisioning.errors import CloudError, RefusedError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


@dataclass(frozen=True)
class KmsSigner:
    """Signs with the key `key_arn`, whose public half was fetched once."""

    _client: "KMSClient"
    key_arn: str
    _public_key: PublicKey

    @classmethod
    def of(cls, client: "KMSClient", key_arn: str) -> Self:
        """The signer of a KMS key; `RefusedError` when it is no signing key of ours, `CloudError` when KMS says no."""
        with asking(f"kms:GetPublicKey of {key_arn}"):
            answer = client.get_public_key(KeyId=key_arn)
        try:
            public_key = serialization.load_der_public_key(answer["PublicKey"])
        except (KeyError, ValueError) as error:
            raise CloudError(f"{key_arn}: KMS gave no public key ({error!r}); try again") from error
        if not isinstance(public_key, PublicKey) or KeyType.of(public_key) is None:
            wanted = ", ".join(algorithm.facts.kms_key_spec for algorithm in Algorithm)
            raise RefusedError(f"{key_arn}: is a key of none of these specs: {wanted}; deploy one of them")
        if answer.get("KeyUsage") != "SIGN_VERIFY":
            raise RefusedError(f"{key_arn}: its usage is {answer.get('KeyUsage')}, not SIGN_VERIFY; deploy a new key")
        return cls(client, key_arn, public_key)

    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """See `Signer.sign`; only the digest travels. `CloudError` when KMS does not answer with a signature."""
        algorithm = Algorithm.of(self._public_key)
        with asking(f"kms:Sign with {self.key_arn}"):
            answer = self._client.sign(
                KeyId=self.key_arn,
                Message=algorithm.digest(message),
                MessageType="DIGEST",
                SigningAlgorithm=algorithm.facts.kms_signing_algorithm,
            )
        signature = answer.get("Signature")
        if not signature:
            raise CloudError(f"{self.key_arn}: KMS answered without a signature; try again")
        return signature
