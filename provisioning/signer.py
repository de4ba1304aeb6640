"""Whoever holds a signing key: a file in `dev`, AWS KMS elsewhere, an HSM later."""

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec


class Signer(Protocol):
    """A P-256 key that signs and is never shown."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""

    def sign(self, message: bytes) -> bytes:
        """An ECDSA signature with SHA-256 over `message`, in DER (RFC 3279, section 2.2.3)."""
