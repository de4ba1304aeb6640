"""Commands and paths as a person in the project's folder would type them."""

import shlex
import sys
from pathlib import Path

from local.program import PROJECT_ROOT


def typed(*arguments: str) -> str:
    """A command of ours: the arguments of `python -m`."""
    return shlex.join([shown(Path(sys.executable)), "-m", *arguments])


def shown(path: Path) -> str:
    """A path, relative where it is inside the project."""
    return str(path.relative_to(PROJECT_ROOT)) if path.is_relative_to(PROJECT_ROOT) else str(path)
