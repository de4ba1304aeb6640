"""Whoever holds a signing key: a file in `dev`, AWS KMS elsewhere, an HSM at a station."""

from typing import Protocol

from provisioning.algorithm import PublicKey


class Signer(Protocol):
    """A key that signs and is never shown. Its type decides the algorithm: `Algorithm.of(signer.public_key())`."""

    def public_key(self) -> PublicKey:
        """The public half."""

    def sign(self, message: bytes) -> bytes:
        """The signature over `message` with the key's algorithm; for ECDSA in DER (RFC 3279, section 2.2.3)."""
