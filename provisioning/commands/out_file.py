"""Whether a file can be written where an option says, asked before the work whose result goes there."""

import os
from pathlib import Path

from provisioning.errors import RefusedError


def check_out(option: str, path: Path) -> None:
    """Refuse a path that no file can be put at. A file that is there already is no reason."""
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no plain file"
        raise RefusedError(f"{option}: {path} is {what}; name a file to write")
    if not path.parent.is_dir():
        raise RefusedError(f"{option}: {path.parent} is no folder; make it first, or name another file")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise RefusedError(f"{option}: nothing may be written into {path.parent}; name a file in a folder of yours")
