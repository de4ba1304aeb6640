"""A signer whose key is a file: authorities in `dev`, and every root, which is kept offline."""

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class FileSigner:
    """Signs with a key that `key_file` read."""

    _key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return "FileSigner(…)"

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._key.public_key()

    def sign(self, message: bytes) -> bytes:
        """See `Signer.sign`."""
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))
