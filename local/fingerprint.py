"""What tells whether a resource's inputs changed since they were applied."""

import hashlib
import json
from pathlib import Path
from typing import Any

from local.archives import archive_path
from local.registration import Registration
from local.wire import ARCHIVE


def fingerprint(registration: Registration, project_root: Path) -> dict[str, Any]:
    """The inputs to remember: of a secret and of an archive's content only the digest."""
    return {
        name: _digest(value) if name in registration.secrets else _with_content(value, project_root)
        for name, value in registration.inputs.items()
    }


def _digest(value: Any) -> dict[str, str]:
    return {"secret": hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()}


def _with_content(value: Any, project_root: Path) -> Any:
    """An archive changes when its bytes do, whatever its path."""
    if not (isinstance(value, dict) and set(value) == {ARCHIVE} and isinstance(value[ARCHIVE], str)):
        return value
    path = archive_path(value[ARCHIVE], project_root)
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return {**value, "sha256": content}
