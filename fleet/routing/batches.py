"""A plan's changes packed into batches that Route 53 takes: each all or none, and no more of them than needed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil

from fleet.routing.plan import Change
from fleet.routing.record_set import RecordSet
from fleet.routing.zone import MAX_BATCH_CHARACTERS, MAX_BATCH_RECORDS, Create, Delete, ZoneChange


@dataclass(frozen=True)
class Batch:
    """Changes that are made together. The same plan always gives the same batches: the journal counts on it."""

    number: int
    """From 0, in the plan's order."""
    changes: tuple[Change, ...]

    @property
    def zone_changes(self) -> tuple[ZoneChange, ...]:
        """What Route 53 is asked for; nothing when only the table changes."""
        deletes = tuple(Delete(records) for change in self.changes for records in change.removes)
        return (*deletes, *(Create(records) for change in self.changes for records in change.creates))


@dataclass(frozen=True)
class Size:
    """What counts against Route 53's quotas of a batch."""

    records: int
    characters: int

    @classmethod
    def of(cls, change: Change) -> "Size":
        """One change, whose record sets are never parted."""
        touched = (*change.removes, *change.creates)
        return cls(sum(map(_records, touched)), sum(map(_characters, touched)))

    def __add__(self, other: "Size") -> "Size":
        """Both together."""
        return Size(self.records + other.records, self.characters + other.characters)

    @property
    def fits(self) -> bool:
        """Whether one batch holds it."""
        return self.records <= MAX_BATCH_RECORDS and self.characters <= MAX_BATCH_CHARACTERS


def pack(changes: Iterable[Change], *, largest: int = MAX_BATCH_RECORDS) -> Iterator[Batch]:
    """The batches, in order. `largest`: changes in one, where somebody wants fewer than fit; it is part of the packing.

    `ValueError` for a change that no batch holds.
    """
    number, packed, size = 0, list[Change](), Size(0, 0)
    for change in changes:
        added = Size.of(change)
        if not added.fits:
            raise ValueError(f"{change.device}: {added.records} records of {added.characters} characters fit no batch")
        if packed and (len(packed) == largest or not (size + added).fits):
            yield Batch(number, tuple(packed))
            number, packed, size = number + 1, [], Size(0, 0)
        packed.append(change)
        size += added
    if packed:
        yield Batch(number, tuple(packed))


def least_batches(changes: Iterable[Change]) -> int:
    """No packing needs fewer: what the quotas alone demand."""
    total = Size(0, 0)
    for change in changes:
        total += Size.of(change)
    return max(ceil(total.records / MAX_BATCH_RECORDS), ceil(total.characters / MAX_BATCH_CHARACTERS))


def _records(records: RecordSet) -> int:
    return len(records.values)


def _characters(records: RecordSet) -> int:
    return sum(map(len, records.values))
