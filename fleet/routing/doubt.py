"""What to do with a batch of which nobody knows whether Route 53 has done it. Pure.

A reply is lost, or the process dies between sending a batch and writing down its change id. The batch is all or none,
so the zone itself tells; but only a change id can prove that every Route 53 server answers with it (INSYNC), and a lost
one cannot be asked for. So what was done is done again in a way that yields an id: record sets that came are upserted
as they stand. A record set that only went leaves nothing to upsert; it is parked for a moment as what the wildcard
says anyway, and deleted again. A run that dies while one is parked finds it as a third state.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum, auto

from fleet.routing.batches import Batch
from fleet.routing.plan import Change
from fleet.routing.record_set import RecordSet
from fleet.routing.zone import MAX_BATCH_CHARACTERS, MAX_BATCH_RECORDS, Create, Delete, Upsert, ZoneChange
from protocol.device_id import DeviceId
from protocol.hostnames import DEVICE_TTL_SECONDS, default_hostname


class Found(Enum):
    """How the zone stands to one change."""

    BEFORE = auto()
    AFTER = auto()
    PARKED = auto()
    """What it removes is gone, and the parked record set stands in its place."""
    NEITHER = auto()


@dataclass(frozen=True)
class SendAgain:
    """Nothing of it was done."""


@dataclass(frozen=True)
class Redo:
    """All of it was done: these batches, one after the other, prove it, and leave the zone as the plan wants it."""

    batches: tuple[tuple[ZoneChange, ...], ...]


@dataclass(frozen=True)
class Conflict:
    """Somebody else wrote there; sorted."""

    changes: tuple[Change, ...]


def decide(batch: Batch, standing: Collection[RecordSet], domain: str) -> SendAgain | Redo | Conflict:
    """What the record sets that stand at the batch's names ask for.

    A change that leaves the zone as it is tells nothing, and is not asked.
    """
    by_key = {(records.name, records.type): records for records in standing}
    telling = [change for change in batch.changes if set(change.removes) != set(change.creates)]
    found = {change.device: _find(change, by_key, domain) for change in telling}
    kinds = set(found.values())
    if kinds <= {Found.BEFORE}:
        return SendAgain()
    if kinds <= {Found.AFTER, Found.PARKED}:
        return Redo(tuple(_redo(batch, found, domain)))
    odd = Found.NEITHER if Found.NEITHER in kinds else Found.BEFORE
    return Conflict(tuple(change for change in telling if found[change.device] is odd))


def parked(change: Change, domain: str) -> RecordSet | None:
    """The record set that stands in for one that only goes; none for a change that creates or touches nothing."""
    if change.creates or not change.removes:
        return None
    return RecordSet(change.removes[0].name, "CNAME", DEVICE_TTL_SECONDS, (default_hostname(domain),))


def _find(change: Change, standing: dict[tuple[str, str], RecordSet], domain: str) -> Found:
    gone, come = _by_key(change.removes), _by_key(change.creates)
    touched = gone.keys() | come.keys()
    here = {key: standing[key] for key in touched if key in standing}
    stand_in = parked(change, domain)
    if stand_in is not None:
        key = (stand_in.name, stand_in.type)
        if standing.get(key) == stand_in and gone.get(key) != stand_in and here.keys() <= {key}:
            return Found.PARKED
    if here == come:
        return Found.AFTER
    return Found.BEFORE if here == gone else Found.NEITHER


def _redo(batch: Batch, found: dict[DeviceId, Found], domain: str) -> Iterable[tuple[ZoneChange, ...]]:
    upserts: list[ZoneChange] = [Upsert(records) for change in batch.changes for records in change.creates]
    stand_ins = {change.device: stand_in for change in batch.changes if (stand_in := parked(change, domain))}
    parks: list[ZoneChange] = [
        Create(stand_in) for device, stand_in in stand_ins.items() if found[device] is not Found.PARKED
    ]
    yield from _split(upserts)
    yield from _split(parks)
    yield from _split([Delete(stand_in) for stand_in in stand_ins.values()])


def _split(changes: Iterable[ZoneChange]) -> Iterable[tuple[ZoneChange, ...]]:
    """Batches that fit; an upsert counts double."""
    packed, records, characters = list[ZoneChange](), 0, 0
    for change in changes:
        times = 2 if isinstance(change, Upsert) else 1
        more_records = times * len(change.records.values)
        more_characters = times * sum(map(len, change.records.values))
        if packed and (
            records + more_records > MAX_BATCH_RECORDS or characters + more_characters > MAX_BATCH_CHARACTERS
        ):
            yield tuple(packed)
            packed, records, characters = [], 0, 0
        packed.append(change)
        records, characters = records + more_records, characters + more_characters
    if packed:
        yield tuple(packed)


def _by_key(records: Iterable[RecordSet]) -> dict[tuple[str, str], RecordSet]:
    return {(each.name, each.type): each for each in records}
