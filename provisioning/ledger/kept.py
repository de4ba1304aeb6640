"""A ledger that stays open for a station that issues all day: opening and closing one costs as much as an issuance."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import local

from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger, failing
from provisioning.ledger.schema import LEDGER_FILE


@dataclass(frozen=True)
class _Kept:
    ledger: Ledger
    inode: int
    """Of its file: where another lies there now, a copy was restored."""
    closing: ExitStack


class KeptLedger:
    """One open ledger a thread: SQLite's connections are not shared by threads."""

    def __init__(self) -> None:
        self._of_thread = local()

    @contextmanager
    def use(self, folder: Path, environment: str) -> Iterator[Ledger]:
        """The ledger, for one request. After anything but a refusal it is opened anew the next time."""
        kept: _Kept | None = getattr(self._of_thread, "kept", None)
        if kept is None or kept.inode != _inode(folder):
            self._let_go(kept)
            kept = self._open(folder, environment)
        try:
            with failing(str(folder)):
                yield kept.ledger
        except RefusedError:
            raise
        except BaseException:
            self._let_go(kept)
            raise

    def _open(self, folder: Path, environment: str) -> _Kept:
        closing = ExitStack()
        ledger = closing.enter_context(Ledger.open(folder, environment, create=True))
        kept = _Kept(ledger, _inode(folder), closing)
        self._of_thread.kept = kept
        return kept

    def _let_go(self, kept: _Kept | None) -> None:
        self._of_thread.kept = None
        if kept is not None:
            kept.closing.close()


def _inode(folder: Path) -> int:
    try:
        return (folder / LEDGER_FILE).stat().st_ino
    except OSError:
        return 0
