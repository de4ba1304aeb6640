"""The numbers of an authority's lists: each given out once, durably, before anything is signed with it.

`<factory>/crl/<authority>/00000012.json` says what list 12 was to be, and `00000012.done.json` that it was signed and
is where it belongs. A number without the second was lost in a crash: the next one is greater all the same. One process
at a time has the shelf.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from pydantic import ValidationError

from provisioning.durable import PUBLIC, create_durably, make_folder
from provisioning.errors import StationError
from stacks.environment import Frozen

CRL_FOLDER = "crl"
LOCK_FILE = "lock"
_NUMBER = re.compile(r"(\d{8})\.json")


class Numbered(Frozen):
    """What a list was to be, when its number was given out."""

    number: int
    base: int | None
    """Of a delta list: the full one it adds to."""
    this_update: datetime
    next_update: datetime
    position: int
    """The last entry of the ledger that it knows."""


class Done(Frozen):
    """That a list was signed and published."""

    sha256: str
    count: int


@dataclass(frozen=True)
class Shelf:
    """The lists of one authority, held by this process alone."""

    folder: Path

    @classmethod
    @contextmanager
    def held(cls, factory: Path, authority: str) -> Iterator["Shelf"]:
        """The shelf, once nobody else has it."""
        folder = factory / CRL_FOLDER / authority
        make_folder(folder)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, PUBLIC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield cls(folder)
        finally:
            os.close(descriptor)

    @classmethod
    def seen(cls, factory: Path, authority: str) -> "Shelf":
        """The shelf as it is, for who only looks."""
        return cls(factory / CRL_FOLDER / authority)

    def last(self) -> Numbered | None:
        """The greatest number that was ever given out."""
        numbers = self._numbers()
        return self._read(numbers[-1]) if numbers else None

    def last_full(self) -> Numbered | None:
        """The last full list that was signed."""
        for number in reversed(self._numbers()):
            if (found := self._read(number)).base is None and self._done_path(number).exists():
                return found
        return None

    def reserve(self, numbered: Numbered) -> None:
        """Give a number out: durable when this returns."""
        path = self.folder / f"{numbered.number:08}.json"
        if not create_durably(path, numbered.model_dump_json(indent=2).encode() + b"\n", mode=PUBLIC):
            raise StationError(f"{path}: this number is taken; run this again")

    def finish(self, number: int, done: Done) -> None:
        """Note that the list is signed and published."""
        create_durably(self._done_path(number), done.model_dump_json(indent=2).encode() + b"\n", mode=PUBLIC)

    def _numbers(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(found[1]) for path in self.folder.iterdir() if (found := _NUMBER.fullmatch(path.name)))

    def _read(self, number: int) -> Numbered:
        path = self.folder / f"{number:08}.json"
        try:
            return Numbered.model_validate_json(path.read_bytes(), strict=False)
        except (OSError, ValidationError) as error:
            raise StationError(f"{path}: cannot be read ({error}); restore it from its copy") from error

    def _done_path(self, number: int) -> Path:
        return self.folder / f"{number:08}.done.json"


def number_in(path: Path) -> int:
    """The number of the list in a file; 0 where there is none. A restored factory must not give a number out again."""
    try:
        crl = x509.load_der_x509_crl(path.read_bytes())
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise StationError(f"{path}: is no revocation list ({error}); move it away, and run this again") from error
