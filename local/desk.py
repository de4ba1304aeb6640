"""A desk: the home folder in which one stack's embedded cloud lives, and the record that makes a folder a desk.

A folder becomes a desk before anything is put in it, and only a desk is ever removed; so no mistyped `--home` can
cost anybody a file.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from local.background import end_strays, stop_processes
from local.cell import read_cell
from local.network_process import read_network
from local.program import PROJECT_ROOT
from local.write_file import write_file

RECORD_FILE = "desk.json"
LOCK_FILE = "desk.lock"
OUTPUTS_FILE = "outputs.json"
AUTHORITIES = "authorities"
DESKS = PROJECT_ROOT / ".flotilla"
"""Where desks stand unless somebody says otherwise."""


class DeskError(Exception):
    """The folder cannot be used as a desk, or is not one; says which and the way out."""


class CellAddress(BaseModel):
    """Where one region of the cloud listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str
    mqtt_port: int


class DeskRecord(BaseModel):
    """What a desk says of itself. All but the stack is there once the cloud runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stack: str
    home_region: str = ""
    aws_endpoint_url: str = ""
    """The front door: one AWS endpoint for all regions."""
    dns: str = ""
    """`host:port` of the hosted zone over UDP and TCP."""
    proxy: str = ""
    """`host:port` of the HTTP CONNECT proxy devices go through."""
    cells: dict[str, CellAddress] = {}


def default_home(stack: str) -> Path:
    """Where a stack's desk stands unless somebody says otherwise."""
    return DESKS / stack


def open_desks(folder: Path = DESKS) -> tuple[Path, ...]:
    """The homes of all desks in a folder, sorted."""
    return tuple(sorted(path.parent for path in folder.glob(f"*/{RECORD_FILE}")))


def read_desk(home: Path) -> DeskRecord | None:
    """The record of a desk; nothing if the folder is none."""
    try:
        return DeskRecord.model_validate_json((home / RECORD_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise DeskError(f"{home / RECORD_FILE}: cannot be read as a desk's record ({error})") from error


def write_desk(home: Path, record: DeskRecord) -> None:
    """Replace the record."""
    write_file(home / RECORD_FILE, record.model_dump_json(indent=2))


def claim_desk(home: Path, stack: str) -> DeskRecord:
    """Make a folder a desk of the stack, if it is not one yet. `DeskError` if it holds anything else."""
    record = read_desk(home)
    if record is None:
        if home.is_symlink() or (home.exists() and not home.is_dir()):
            raise DeskError(f"{home}: is not a folder of its own; name one with --home")
        if home.is_dir() and any(entry.name != LOCK_FILE for entry in home.iterdir()):
            raise DeskError(f"{home}: holds files that are not a desk's; name an empty or new folder with --home")
        record = DeskRecord(stack=stack)
        write_desk(home, record)
    if record.stack != stack:
        raise DeskError(f"{home}: is the desk of stack {record.stack}; end it with `down`, or name another --home")
    (home / AUTHORITIES).mkdir(exist_ok=True)
    return record


@contextmanager
def sole_use(home: Path) -> Iterator[None]:
    """Hold the desk: a second command that changes it is refused meanwhile. `DeskError` if another holds it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK_FILE).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DeskError(f"{home}: another command is working on this desk; wait until it is done") from error
        yield


def remove_desk(home: Path) -> bool:
    """End every process of a desk and remove its folder. False if there is nothing; `DeskError` if it is no desk."""
    if read_desk(home) is None:
        if home.exists():
            raise DeskError(f"{home}: is not a desk, so nothing of it is removed")
        return False
    with sole_use(home):
        stop_desk(home)
        for entry in home.iterdir():
            if entry.name in (RECORD_FILE, LOCK_FILE):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        # The record goes last, so that a removal cut short can be repeated.
        (home / RECORD_FILE).unlink()
        (home / LOCK_FILE).unlink()
        home.rmdir()
    return True


def stop_desk(home: Path) -> None:
    """End every process that works for a desk, known or left behind by a crash."""
    network = read_network(home)
    if network is not None:
        network.stop()
    end_strays(home.absolute() / "network")
    folders = [entry for entry in (home.absolute() / "cells").glob("*") if entry.is_dir()]
    cells = [cell for folder in folders if (cell := read_cell(home, folder.name))]
    stop_processes(cell.process for cell in cells)
    for folder in folders:
        end_strays(folder)
