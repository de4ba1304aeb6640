"""A file is there whole, or as it was."""

import errno
import os
import stat
from pathlib import Path

import pytest

from provisioning.durable import PRIVATE, create_durably, make_folder, write_durably


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")
    write_durably(path, b"new", mode=PRIVATE)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there_is_not_created_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert create_durably(path, b"first", mode=PRIVATE)
    assert not create_durably(path, b"second", mode=PRIVATE)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def _full(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_what_was_there_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_too_full_for_a_name_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _full)
    with pytest.raises(OSError, match="No space left"):
        create_durably(tmp_path / "key", b"key", mode=PRIVATE)
    assert list(tmp_path.iterdir()) == []


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    synced, renamed = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        seen.append("folder synced" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file synced")
        synced(descriptor)

    def replace(self: Path, target: Path) -> Path:
        seen.append("renamed")
        return renamed(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_durably(tmp_path / "file", b"data")
    assert seen == ["file synced", "renamed", "folder synced"]


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    make_folder(folder, mode=0o700)
    make_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
