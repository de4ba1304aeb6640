"""Writes batches to the zone at Route 53's pace, and finds out what became of those whose answer was lost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import tenacity

from fleet.errors import UnfinishedError
from fleet.routing.batches import Batch
from fleet.routing.doubt import Conflict, Redo, SendAgain, decide, parked
from fleet.routing.pace import Pace
from fleet.routing.record_set import RecordSet, zone_order
from fleet.routing.zone import (
    Page,
    Zone,
    ZoneChange,
    ZoneRefusedError,
    ZoneReplyLostError,
    ZoneThrottledError,
    ZoneUnknownChangeError,
)

TRIES = 12
"""Attempts at a request that Route 53 puts off; with the waits below about four minutes on average."""
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
REDO_LOOKS = 20
"""Looks at a change that proves another, while it is waited for: about a quarter of an hour."""
MAX_DOUBTS = 6
"""Lost answers in a row to one batch before a person should look at the network."""

T = TypeVar("T")


class ConflictError(Exception):
    """Record sets stand in the zone that neither the plan nor what came before it put there; names them."""


@dataclass(kw_only=True)
class ZoneWriter:
    """One zone. Every request takes a turn of `pace`."""

    zone: Zone
    pace: Pace
    sleep: Callable[[float], None]
    """Seconds."""

    def write(self, batch: Batch, domain: str, *, hold: Callable[[], None] = lambda: None) -> str:
        """Make the batch's changes, once; the id of the change that proves it, empty when the zone is not touched.

        It may have been sent before: what is sent says what must stand, so Route 53 refuses it the second time, and the
        zone tells why. `hold` is called before every change, and raises if the zone is somebody else's by now.
        `ConflictError`: nothing of it was done. `UnfinishedError`: Route 53 cannot be asked, and the batch is in doubt.
        """
        changes = batch.zone_changes
        if not changes:
            return ""
        for _ in range(MAX_DOUBTS):
            refusal = ""
            try:
                return self._change(changes, hold)
            except ZoneRefusedError as error:
                refusal = str(error)
            except ZoneReplyLostError:
                pass
            found = decide(batch, tuple(self._standing(batch, domain)), domain)
            if isinstance(found, Conflict) or (refusal and isinstance(found, SendAgain)):
                raise ConflictError(_explain(found, refusal))
            if isinstance(found, Redo) and (change_id := self._redo(found, hold)):
                return change_id
        raise UnfinishedError(
            f"Route 53 answered none of {MAX_DOUBTS} requests for batch {batch.number}; check the network, and rerun"
        )

    def _change(self, changes: Sequence[ZoneChange], hold: Callable[[], None]) -> str:
        def change() -> str:
            hold()
            return self.zone.change(changes)

        return self._ask(change)

    def _redo(self, redo: Redo, hold: Callable[[], None]) -> str | None:
        """The id that proves the last; none when an answer was lost and the zone must be read again."""
        change_id = ""
        for changes in redo.batches:
            try:
                change_id = self._change(changes, hold)
                self._await_sync(change_id)
            except (ZoneReplyLostError, ZoneRefusedError, ZoneUnknownChangeError):
                return None
        return change_id

    def _await_sync(self, change_id: str) -> None:
        for look in range(REDO_LOOKS):
            if self.is_in_sync(change_id):
                return
            self.sleep(min(FIRST_WAIT_SECONDS * 2**look, LONGEST_WAIT_SECONDS))
        raise UnfinishedError(f"Route 53 does not bring change {change_id} into sync; run this again later")

    def is_in_sync(self, change_id: str) -> bool:
        """Whether every Route 53 server answers with the change. `ZoneUnknownChangeError`, `UnfinishedError`."""
        return self._ask(partial(self.zone.is_in_sync, change_id), may_repeat=True)

    def page(self, start_name: str, start_type: str | None = None) -> Page:
        """A stretch of the zone. `UnfinishedError`."""
        return self._ask(partial(self.zone.page, start_name, start_type), may_repeat=True)

    def _standing(self, batch: Batch, domain: str) -> Iterator[RecordSet]:
        """What stands at the batch's names: pages from one wanted name on, leaping over what lies between."""
        touched = {each for change in batch.changes for each in (*change.removes, *change.creates)}
        touched |= {stand_in for change in batch.changes if (stand_in := parked(change, domain))}
        names = {each.name for each in touched}
        left = sorted(names, key=zone_order)
        while left:
            page = self.page(left[0])
            yield from (each for each in page.record_sets if each.name in names)
            left = [name for name in left[1:] if not _is_covered(name, left[0], page.next_name)]

    def _ask(self, request: Callable[[], T], *, may_repeat: bool = False) -> T:
        passing = (ZoneThrottledError, ZoneReplyLostError) if may_repeat else (ZoneThrottledError,)

        def once() -> T:
            self.pace.turn()
            return request()

        trying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(passing),
            stop=tenacity.stop_after_attempt(TRIES),
            wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return trying(once)
        except passing as error:
            raise UnfinishedError(f"Route 53 puts every request off ({error}); run this again later") from error


def _is_covered(name: str, first: str, following: str | None) -> bool:
    """Whether a page from `first` up to `following` has said all about a name.

    Only where it lies between them label by label as well: Route 53's own order sorts a hyphen before the end of a
    label, and an escaped character where it likes. A name that is asked for twice costs a page, one left out the truth.
    """
    orders = (zone_order, lambda each: each.split(".")[::-1])
    return all(
        order(first) <= order(name) and (following is None or order(name) < order(following)) for order in orders
    )


def _explain(found: Conflict | SendAgain, refusal: str) -> str:
    if isinstance(found, SendAgain):
        return f"Route 53 refuses it: {refusal}"
    named = ", ".join(change.device for change in found.changes[:5])
    return f"the zone holds other records than the plan expects, for {named}"
