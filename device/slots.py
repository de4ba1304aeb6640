"""Two places for firmware, one of which always holds a version that is known to work: the rule a boot loader keeps.

A new version goes into the place that is not in use, is tried at the next start, and is kept only once it has confirmed
itself. A version that restarts without having done so, `MAX_TRIES` times, is left: the device goes back to the other
place, and says so. Pure functions over what is written down; `device.slot_keeper` writes it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

MAX_TRIES = 3
"""Starts that an unconfirmed version gets: one may fall to a power cut, two in a row hardly do."""


class Place(StrEnum):
    """Where firmware lies."""

    A = "a"
    B = "b"

    @property
    def other(self) -> "Place":
        """The one that is not this."""
        return Place.B if self is Place.A else Place.A


class State(StrEnum):
    """What is known of the firmware in a place."""

    EMPTY = "empty"
    PENDING = "pending"
    """Complete and checked; to be tried at the next start."""
    TRYING = "trying"
    """Running, or it was when the device went down; not confirmed yet."""
    CONFIRMED = "confirmed"
    FAILED = "failed"
    """Tried and left."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One place. `tries`: starts since it was put there, as long as it is not confirmed."""

    state: State = State.EMPTY
    version: str = ""
    tries: int = 0


class SlotError(Exception):
    """A step that would leave the device without firmware that is known to work, or makes no sense."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Both places, and which of them runs. Made by `first`; one of them is always confirmed."""

    active: Place
    a: Slot
    b: Slot

    def __post_init__(self) -> None:
        """Refuse what no step leads to."""
        if State.CONFIRMED not in {self.a.state, self.b.state}:
            raise SlotError("neither place holds a confirmed version")
        if self.running.state not in {State.CONFIRMED, State.TRYING}:
            raise SlotError(f"the running version is {self.running.state}")

    def at(self, place: Place) -> Slot:
        """What lies there."""
        return self.a if place is Place.A else self.b

    @property
    def running(self) -> Slot:
        """What runs."""
        return self.at(self.active)


def first(version: str) -> Slots:
    """As the factory leaves it."""
    return Slots(Place.A, Slot(State.CONFIRMED, version), Slot())


def install(slots: Slots, version: str) -> Slots:
    """`version` lies complete in the place not in use. `SlotError` while the running one is on trial itself."""
    if slots.running.state is not State.CONFIRMED:
        raise SlotError(
            f"version {slots.running.version} is not confirmed yet; it needs the other place to fall back to"
        )
    return _put(slots, slots.active.other, Slot(State.PENDING, version))


def boot(slots: Slots) -> Slots:
    """What runs at this start, with the start counted."""
    other = slots.active.other
    if slots.at(other).state is State.PENDING:
        tried = replace(slots.at(other), state=State.TRYING, tries=1)
        return replace(_put(slots, other, tried), active=other)
    if slots.running.state is not State.TRYING:
        return slots
    if slots.running.tries < MAX_TRIES:
        return _put(slots, slots.active, replace(slots.running, tries=slots.running.tries + 1))
    left = replace(slots.running, state=State.FAILED)
    back = replace(slots, active=other)
    return _put(back, slots.active, left)


def confirm(slots: Slots) -> Slots:
    """The running version works. Harmless when it was confirmed before."""
    return _put(slots, slots.active, replace(slots.running, state=State.CONFIRMED, tries=0))


def _put(slots: Slots, place: Place, slot: Slot) -> Slots:
    return replace(slots, a=slot) if place is Place.A else replace(slots, b=slot)
