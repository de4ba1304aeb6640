"""A signer whose key is a file: authorities in `dev`, and every root, which is kept offline."""

from dataclasses import dataclass
from functools import cached_property

from provisioning.algorithm import Algorithm, PrivateKey, PublicKey


@dataclass(frozen=True)
class FileSigner:
    """Signs with a key that `key_file` read."""

    _key: PrivateKey

    def __repr__(self) -> str:
        return "FileSigner(…)"

    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """See `Signer.sign`."""
        return self._algorithm.sign(self._key, message)

    @cached_property
    def _public_key(self) -> PublicKey:
        return self._key.public_key()

    @cached_property
    def _algorithm(self) -> Algorithm:
        return Algorithm.of(self._public_key)
