"""Where a device keeps its few small documents over a restart: start count, configuration, jobs, slots.

A document is written whole or not at all, and is durable when `write` returns.
"""

import os
from pathlib import Path
from typing import Protocol


class Shelf(Protocol):
    """A few named documents."""

    def read(self, name: str) -> bytes | None:
        """The document; nothing when there is none, or the flash does not give it."""

    def write(self, name: str, content: bytes) -> None:
        """Keep the document in place of the one before; `OSError` when the flash does not take it."""


class FolderShelf:
    """Documents as files of one folder."""

    __slots__ = ("folder",)

    def __init__(self, folder: Path) -> None:
        """`folder` exists."""
        self.folder = folder

    def read(self, name: str) -> bytes | None:
        """The document; nothing when there is none, or the flash does not give it."""
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Keep the document in place of the one before; `OSError` when the flash does not take it."""
        partial = self.folder / f"{name}.partial"
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / name)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class MemoryShelf:
    """Documents of a simulated device, which never loses power."""

    __slots__ = ("_documents",)

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """The document; nothing when there is none."""
        return self._documents.get(name)

    def write(self, name: str, content: bytes) -> None:
        """Keep the document in place of the one before."""
        self._documents[name] = content
