from pathlib import Path

import pytest

from device.agent_state import STATE_FILE, remember_admission, start
from device.shelf import FolderShelf

EU, US = "eu1.clusters.iot.example.com", "us1.clusters.iot.example.com"


def test_every_start_is_counted_and_an_admission_is_remembered_by_cluster(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path)
    first = start(shelf)
    assert (first.boot_count, first.admitted_by) == (1, ())
    remember_admission(shelf, remember_admission(shelf, first, US), EU)
    second = start(shelf)
    assert (second.boot_count, second.admitted_by) == (2, (EU, US))
    assert remember_admission(shelf, second, EU) is second, "nothing new is not written again"


@pytest.mark.parametrize("damage", ["", "{", '{"boot_count": "many", "admitted_by": []}', "\x00\xff"])
def test_a_damaged_memory_is_no_reason_not_to_work(tmp_path: Path, damage: str) -> None:
    shelf = FolderShelf(tmp_path)
    (tmp_path / STATE_FILE).write_text(damage)
    assert start(shelf).boot_count == 1
    assert start(shelf).boot_count == 2
