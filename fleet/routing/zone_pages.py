"""The part of a hosted zone at one name and below it, page by page."""

from collections.abc import Callable, Iterator
from itertools import chain

from fleet.routing.zone import Page


def pages_under(name: str, page: Callable[[str, str | None], Page]) -> Iterator[Page]:
    """The pages that hold what stands at `name` or below it; the last may run on beyond.

    `page`: `ZoneWriter.page`, which keeps Route 53's pace. Whether a listing compares names label by label or, as
    Route 53 does, as text with a trailing dot, what is below a name comes in one piece from that name on.
    """
    following: tuple[str, str | None] | None = (name, None)
    while following is not None:
        found = page(*following)
        yield found
        names = chain((records.name for records in found.record_sets), (other for other, _ in found.others))
        is_inside = all(each == name or each.endswith(f".{name}") for each in names)
        following = (found.next_name, found.next_type) if found.next_name and is_inside else None
