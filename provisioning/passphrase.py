"""What keys in files are encrypted with: those of authorities, and those that were made for the devices of a batch."""

import secrets
from collections.abc import Callable
from pathlib import Path

from provisioning.durable import PRIVATE, create_durably
from provisioning.errors import RefusedError, StationError

PASSPHRASE_FILE = "passphrase"  # noqa: S105  # a file name
"""In the factory folder of `dev` only: there the keys protect nothing, and nobody is there to type."""
PASSPHRASE_VARIABLE = "FLOTILLA_ROOT_PASSPHRASE"  # noqa: S105  # a variable name
KEYS_PASSPHRASE_VARIABLE = "FLOTILLA_KEYS_PASSPHRASE"  # noqa: S105  # a variable name
MIN_CHARACTERS = 15
"""NIST SP 800-63B-4, section 3.1.1: passwords that stand alone."""

Passphrase = Callable[[], bytes]
"""Asked only when a key must be opened."""


def kept_passphrase(factory: Path) -> Passphrase:
    """The passphrase beside the keys, made at random the first time."""
    path = factory / PASSPHRASE_FILE

    def ask() -> bytes:
        create_durably(path, secrets.token_hex(32).encode(), mode=PRIVATE)
        return read_kept_passphrase(factory)

    return ask


def read_kept_passphrase(factory: Path) -> bytes:
    """The passphrase that the ceremony left; `StationError` when it did not."""
    path = factory / PASSPHRASE_FILE
    try:
        return path.read_bytes()
    except OSError as error:
        raise StationError(
            f"{path}: cannot be read ({error.strerror}); hold the ceremony of this factory first"
        ) from error


def given_passphrase(
    ask: Callable[[], str], *, whose: str = "the root's", variable: str = PASSPHRASE_VARIABLE
) -> Passphrase:
    """A passphrase that people keep; `ask` reads it from where they put it, `variable` or a prompt."""

    def checked() -> bytes:
        text = ask()
        if len(text) < MIN_CHARACTERS:
            raise RefusedError(
                f"{whose} passphrase has {len(text)} characters; use at least {MIN_CHARACTERS}, "
                f"in {variable} or when asked"
            )
        return text.encode()

    return checked
