"""A signer whose key is a file: authorities in `dev`, and every root, which is kept offline."""

from dataclasses import dataclass

from provisioning.algorithm import Algorithm, PrivateKey, PublicKey


@dataclass(frozen=True)
class FileSigner:
    """Signs with a key that `key_file` read."""

    _key: PrivateKey

    def __repr__(self) -> str:
        return "FileSigner(…)"

    def public_key(self) -> PublicKey:
        """The public half."""
        return self._key.public_key()

    def sign(self, message: bytes) -> bytes:
        """See `Signer.sign`."""
        return Algorithm.of(self._key.public_key()).sign(self._key, message)
