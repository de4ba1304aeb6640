"""A station's ledger that stays open from one device to the next."""

import shutil
import threading
from pathlib import Path

import pytest

from protocol.device_id import DeviceId
from provisioning.errors import RefusedError, StationError
from provisioning.ledger.kept import KeptLedger
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.rows import latest_of
from tests.provisioning.ledgers import DEVICE, ask, issued


def test_it_is_one_ledger_for_a_thread_and_another_for_another(tmp_path: Path) -> None:
    kept, seen = KeptLedger(), []

    def look() -> None:
        with kept.use(tmp_path, "dev") as ledger:
            seen.append(ledger)

    look()
    look()
    other = threading.Thread(target=look)
    other.start()
    other.join()
    assert seen[0] is seen[1]
    assert seen[2] is not seen[0]


def fail(kept: KeptLedger, folder: Path, error: Exception, opened: list[Ledger]) -> None:
    with kept.use(folder, "dev") as ledger:
        opened.append(ledger)
        raise error


def test_a_refusal_keeps_it_open_and_a_failure_opens_it_anew(tmp_path: Path) -> None:
    kept = KeptLedger()
    opened: list[Ledger] = []
    for error in (RefusedError("no"), StationError("the disk"), RefusedError("no")):
        with pytest.raises(type(error)):
            fail(kept, tmp_path, error, opened)
    assert opened[0] is opened[1]
    assert opened[2] is not opened[0]


def test_a_copy_that_was_restored_meanwhile_is_the_one_that_is_used(tmp_path: Path) -> None:
    kept, folder = KeptLedger(), tmp_path / "factory"
    with kept.use(folder, "dev") as ledger:
        issued(ledger, ask())
    with Ledger.open(tmp_path / "copy", "dev", create=True) as copy:
        issued(copy, ask(DeviceId("device2")))
    for path in folder.iterdir():
        path.unlink()
    shutil.copy(tmp_path / "copy" / "ledger.db", folder)
    with kept.use(folder, "dev") as ledger:
        assert latest_of(ledger.connection, DEVICE) is None
        assert latest_of(ledger.connection, DeviceId("device2")) is not None
