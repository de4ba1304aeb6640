"""What the ledger notes of an end, in one line: the reason, since when the key is not to be trusted, a person's words.

`key-compromise`, `key-compromise: the van was broken into`, `key-compromise: since 2026-11-20T08:00:00Z; the van …`.
"""

import re
from datetime import UTC, datetime

from provisioning.ledger.records import Reason

_SINCE = re.compile(r"since (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)(?:; |$)")
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def with_since(words: str, since: datetime | None) -> str:
    """The words to give the ledger beside a reason."""
    if since is None:
        return words
    return f"since {since.astimezone(UTC).strftime(_FORMAT)}" + (f"; {words}" if words else "")


def read_note(note: str) -> tuple[Reason, datetime | None]:
    """The reason and the moment in a note of the ledger."""
    reason, _, words = note.partition(": ")
    found = _SINCE.match(words)
    since = None if found is None else datetime.strptime(found[1], _FORMAT).replace(tzinfo=UTC)
    return Reason(reason), since
