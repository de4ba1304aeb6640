"""What the desk remembers of a deployment: `state.json`, written whole after every step, intent before the deed."""

import threading
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from local.write_file import write_file

STATE_FILE = "state.json"
STATE_VERSION = 1
_WAY_OUT = "start anew with: python -m local down, then up"


class StateError(Exception):
    """The state file cannot be read; says which and the way out."""


class Step(StrEnum):
    """How far a resource is. Whatever is not APPLIED when a run starts was interrupted, so nobody knows what exists."""

    APPLIED = "applied"
    CHANGING = "changing"


class Entry(BaseModel):
    """One resource of the embedded cloud."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    urn: str
    type: str
    name: str
    region: str
    step: Step
    order: int
    """Resources are deleted from the highest order to the lowest."""
    inputs: dict[str, Any]
    """As applied; values of secrets and contents of archives stand as digests."""
    id: str = ""
    outputs: dict[str, Any] = {}
    gaps: tuple[str, ...] = ()
    protect: bool = False
    retain_on_delete: bool = False


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    incarnations: dict[str, str]
    entries: dict[str, Entry]


class State:
    """The entries of one desk. Safe to use from several threads; every change is on disk when the call returns."""

    def __init__(self, path: Path, incarnations: Mapping[str, str], entries: Mapping[str, Entry]) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries = dict(entries)
        self.incarnations = dict(incarnations)
        """Region to the one life of its cell that the entries were applied to."""

    def get(self, urn: str) -> Entry | None:
        """The entry of a resource, if there is one."""
        with self._lock:
            return self._entries.get(urn)

    def entries(self) -> tuple[Entry, ...]:
        """All of them, in the order they were applied."""
        with self._lock:
            return tuple(sorted(self._entries.values(), key=lambda entry: entry.order))

    def interrupted(self) -> tuple[Entry, ...]:
        """What an earlier run began and did not finish."""
        return tuple(entry for entry in self.entries() if entry.step is not Step.APPLIED)

    def put(self, entry: Entry) -> None:
        """Remember an entry in place of the former one."""
        with self._lock:
            self._entries[entry.urn] = entry
            self._write()

    def remove(self, urn: str) -> None:
        """Forget a resource that is gone."""
        with self._lock:
            self._entries.pop(urn, None)
            self._write()

    def start_anew(self, incarnations: Mapping[str, str]) -> None:
        """Forget everything: the cells are empty."""
        with self._lock:
            self._entries.clear()
            self.incarnations = dict(incarnations)
            self._write()

    def next_order(self) -> int:
        """A number above every other so far."""
        with self._lock:
            return 1 + max((entry.order for entry in self._entries.values()), default=0)

    def _write(self) -> None:
        document = _Document(version=STATE_VERSION, incarnations=self.incarnations, entries=self._entries)
        write_file(self._path, document.model_dump_json(indent=1))


def read_state(home: Path) -> State:
    """The state of a desk; an empty one where there is none yet. `StateError` when it cannot be understood."""
    path = home / STATE_FILE
    try:
        document = _Document.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return State(path, {}, {})
    except ValidationError as error:
        raise StateError(f"{path}: is not a state of this desk ({error.errors()[0]['msg']}); {_WAY_OUT}") from error
    if document.version != STATE_VERSION:
        raise StateError(f"{path}: has version {document.version}, not {STATE_VERSION}; {_WAY_OUT}")
    return State(path, document.incarnations, document.entries)
