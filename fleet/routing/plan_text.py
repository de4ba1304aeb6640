"""A small plan kept as text, where there is no disk: a scheduled sweep's, in the route table.

The lines of a plan file but the last, which states the digest: so the same plan has the same digest here and there. The
digest is over exactly these bytes, and a plan that is read back is the plan that was begun, whatever wrote it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from fleet.routing.plan import Change, Header
from fleet.routing.plan_line import decode_change, decode_header, encode_change, encode_header


@dataclass(frozen=True)
class TextPlan:
    """A `fleet.routing.plan.Plan` whose changes are in memory."""

    text: str
    header: Header
    _changes: tuple[Change, ...]

    @classmethod
    def of(cls, header: Header, changes: Sequence[Change]) -> "TextPlan":
        """The plan of these changes; `ValueError` when they are not sorted by device, each once."""
        devices = [change.device for change in changes]
        if devices != sorted(set(devices)):
            raise ValueError("a plan's changes are sorted by device, and no device comes twice")
        lines = [encode_header(header), *(encode_change(change) for change in changes)]
        return cls("\n".join(lines) + "\n", header, tuple(changes))

    @classmethod
    def read(cls, text: str) -> "TextPlan":
        """The plan that `text` was taken from; `plan_line.InvalidLineError` or `ValueError` when it is none."""
        first, *lines = text.encode("ascii").splitlines(keepends=True)
        return cls(text, decode_header(first), tuple(decode_change(line) for line in lines))

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex over the text."""
        return hashlib.sha256(self.text.encode("ascii")).hexdigest()

    @property
    def count(self) -> int:
        """How many changes."""
        return len(self._changes)

    def changes(self) -> Iterator[Change]:
        """The changes, sorted by device."""
        return iter(self._changes)
