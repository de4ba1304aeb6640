"""Keeps the slots over restarts, and confirms a version on trial once it has held a connection.

A version that cannot reach its cloud is worth nothing, however well it runs: only a connection that lasted
`STABLE_AFTER` confirms it. One that did not manage that within `TRIAL` restarts, and is left after its last try.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, ValidationError

from device.link import Link, Message
from device.shelf import Shelf
from device.slots import Place, Slot, SlotError, Slots, State, boot, confirm, first, install
from device.surroundings import Emit
from protocol.traffic import STABLE_AFTER

SLOTS_FILE = "slots.json"
TRIAL = timedelta(hours=1)
"""How long a version on trial may be without a connection that holds: longer than a fleet takes to return after an
outage (`protocol.traffic.SAFE_RECONNECT_WINDOW` is 21 minutes)."""


class _Slot(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: State
    version: str
    tries: int


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    active: Place
    a: _Slot
    b: _Slot


class SlotKeeper:
    """One device's slots: a companion of its sessions."""

    __slots__ = ("_emit", "_shelf", "_sleep", "slots", "topic_filters")

    def __init__(self, shelf: Shelf, *, version: str, sleep: Callable[[float], Awaitable[None]], emit: Emit) -> None:
        """Count this start. `version`: what a device whose record is lost takes itself to run."""
        self._shelf, self._sleep, self._emit = shelf, sleep, emit
        self.topic_filters: tuple[str, ...] = ()
        before = recall_slots(shelf) or first(version)
        self.slots = before
        started = boot(before)
        # A flash that takes nothing costs a trial its count, not the device its start.
        with suppress(OSError):
            self._keep(started)
        self.slots = started
        if started.active is not before.active:
            left, now = before.running, started.running
            was_left = started.at(before.active).state is State.FAILED
            event = "firmware_rolled_back" if was_left else "firmware_on_trial"
            emit({"event": event, "from": left.version, "to": now.version})

    def install(self, version: str) -> None:
        """`version` lies in the other place and is tried at the next start; `SlotError`, `OSError`."""
        self._keep(install(self.slots, version))

    def hear(self, _message: Message) -> bool:
        """Nothing comes down for it."""
        return False

    async def accompany(self, _link: Link) -> None:
        """Confirm the running version once the connection has lasted."""
        if self.slots.running.state is State.TRYING:
            await self._sleep(STABLE_AFTER.total_seconds())
            self._keep(confirm(self.slots))
            self._emit({"event": "firmware_confirmed", "version": self.slots.running.version})

    async def watch_trial(self, restart: Callable[[], None]) -> None:
        """Restart a version that was not confirmed in time."""
        if self.slots.running.state is State.TRYING:
            await self._sleep(TRIAL.total_seconds())
            if self.slots.running.state is State.TRYING:
                self._emit({"event": "firmware_trial_over", "version": self.slots.running.version})
                restart()

    def _keep(self, slots: Slots) -> None:
        """Written down first, true then."""
        if slots != self.slots:
            self._shelf.write(SLOTS_FILE, _document(slots).model_dump_json().encode())
            self.slots = slots


def recall_slots(shelf: Shelf) -> Slots | None:
    """What is written down; nothing when there is no record, or one that no device can be in."""
    try:
        document = _Document.model_validate_json(shelf.read(SLOTS_FILE) or b"")
        return Slots(document.active, _slot(document.a), _slot(document.b))
    except (ValidationError, SlotError):
        return None


def _slot(document: _Slot) -> Slot:
    return Slot(document.state, document.version, document.tries)


def _document(slots: Slots) -> _Document:
    def of(slot: Slot) -> _Slot:
        return _Slot(state=slot.state, version=slot.version, tries=slot.tries)

    return _Document(active=slots.active, a=of(slots.a), b=of(slots.b))
