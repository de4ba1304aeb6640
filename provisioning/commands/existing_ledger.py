"""The ledger of a folder, for a command that also has something to say where there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioning.ledger.ledger import Ledger
from provisioning.ledger.schema import LEDGER_FILE


@contextmanager
def existing_ledger(factory: Path, stack: str) -> Iterator[Ledger | None]:
    """The ledger; None where nothing was issued yet."""
    if not (factory / LEDGER_FILE).exists():
        yield None
        return
    with Ledger.open(factory, stack) as ledger:
        yield ledger
