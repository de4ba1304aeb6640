"""How many bytes of flash the buffer may take, and how they are divided between its file and its log."""

from dataclasses import dataclass
from typing import Self

PAGE_BYTES = 4096
"""SQLite's page: also what flash translation layers usually program at once."""
FRAME_BYTES = PAGE_BYTES + 24
LOG_HEADER_BYTES = 32
"""The write-ahead log: a header, then one frame a changed page (SQLite, "WAL file format")."""

CHECKPOINT_PAGES = 16
"""The log is folded into the file at so many pages; SQLite's default of 1,000 fills a small flash (measured)."""
TRANSACTION_BYTES = 32 * 1024
"""A larger group is stored in several transactions, so that the log stays small."""
TRANSACTION_PAGES = 24
"""The most pages one transaction changes: 32 KiB of rows are 9 to 16; making room, and SQLite's own, are the rest."""
LOG_BYTES = LOG_HEADER_BYTES + (CHECKPOINT_PAGES - 1 + TRANSACTION_PAGES) * FRAME_BYTES

MIN_PAGES = 32
"""Three queues, their lists, and room for one transaction while another is made room for."""
MIN_BYTES = MIN_PAGES * PAGE_BYTES + LOG_BYTES


class CapacityError(ValueError):
    """A bound that no buffer fits into."""


@dataclass(frozen=True)
class Capacity:
    """`pages`: the most pages of the file."""

    pages: int

    @classmethod
    def of_bytes(cls, total: int) -> Self:
        """What fits into `total` bytes with its log; `CapacityError` when that is too little."""
        if total < MIN_BYTES:
            raise CapacityError(
                f"a buffer of {total} bytes; the smallest is {MIN_BYTES}, its log alone takes {LOG_BYTES}"
            )
        return cls((total - LOG_BYTES) // PAGE_BYTES)

    @property
    def file_bytes(self) -> int:
        """The bound of the file."""
        return self.pages * PAGE_BYTES

    @property
    def total_bytes(self) -> int:
        """The bound of file and log together; a quarantined file comes on top, and there is at most one."""
        return self.file_bytes + LOG_BYTES
