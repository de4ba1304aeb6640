"""Which hardware security module a station has, and how its PIN is come by: one small file beside the ledger.

`<factory>/hsm.yaml` belongs to a machine, not to a repository:

    module: /usr/lib/softhsm/libsofthsm2.so
    token: flotilla-line-a
    pin_file: /etc/flotilla/hsm.pin

Without `pin_file` a person is asked. The PIN never stands in a command, a variable or a log.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from provisioning.errors import RefusedError, StationError
from stacks.document import read_document, spell
from stacks.environment import Frozen
from stacks.errors import Problem, StackError
from stacks.explain import explain, place

HSM_FILE = "hsm.yaml"
MIN_PIN_CHARACTERS = 4
"""PKCS#11 leaves it to the token; every one we know wants at least four."""
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class _File(Frozen):
    """What the file says."""

    module: str
    """The vendor's PKCS#11 library."""
    token: str
    """The token's label."""
    pin_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class Hsm:
    """A token, and the way to its PIN. Its existence says nothing of the token's."""

    module: Path
    token: str
    pin: Callable[[], str]
    """Asked when a session is opened, and never kept."""

    def __repr__(self) -> str:
        return f"Hsm(module={self.module}, token={self.token})"

    @classmethod
    def read(cls, factory: Path, ask: Callable[[str], str]) -> Self:
        """The module that the factory's `hsm.yaml` names; `ask` is how a person is asked for a PIN."""
        path = factory / HSM_FILE
        if not path.exists():
            raise RefusedError(
                f"{path}: there is none, and a key is in an HSM; write module, token and pin_file into it"
            )
        document = read_document(path, begins="module")
        try:
            found = _File.model_validate(document.values)
        except ValidationError as error:
            problems = []
            for each in error.errors():
                where = place(each)
                rule, way_out = explain(each, _File)
                problems.append(
                    Problem(file=document.file, line=document.line(where), key=spell(where), rule=rule, way_out=way_out)
                )
            raise StackError(problems) from error
        token = found.token
        pin_file = found.pin_file
        if pin_file is None:
            return cls(module=Path(found.module), token=token, pin=lambda: ask(f"PIN of token {token}"))
        return cls(module=Path(found.module), token=token, pin=lambda: read_pin(Path(pin_file)))


def read_pin(path: Path) -> str:
    """The PIN in a file that its owner alone may read."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read()
    except OSError as error:
        raise StationError(f"{path}: the PIN cannot be read ({error.strerror}); put it there, mode 0600") from error
    if status.st_mode & OTHERS:
        raise StationError(f"{path}: others may read this PIN; change it in the token, then: chmod 600 {path}")
    if status.st_uid not in (0, os.geteuid()):
        raise StationError(f"{path}: this PIN's file belongs to another user; it must be this station's own")
    pin = data.decode("utf-8", "replace").strip()
    if len(pin) < MIN_PIN_CHARACTERS:
        raise StationError(f"{path}: holds no PIN of at least {MIN_PIN_CHARACTERS} characters; write it there")
    return pin
