"""Write a file whole or not at all, durably: what the desk remembers survives a crash at any moment."""

import os
import tempfile
from pathlib import Path

OWNER_ONLY = 0o600


def write_file(path: Path, content: str, *, mode: int = OWNER_ONLY) -> None:
    """Put `content` (UTF-8) in `path`: temporary file beside it, fsync, rename, fsync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
