"""A packaged function carries copies of modules. A stale one deploys well, and does what the code once said."""

import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from local.wire import ARCHIVE

FOR_AWS = PurePosixPath("build/functions/aws")
"""Where the program takes archives from (`components.function`)."""
HERE = FOR_AWS.with_name("here")


def archive_path(archive: str, project_root: Path) -> Path:
    """The file that the desk takes for an archive of the program: that of this machine's platform, not Lambda's."""
    path = PurePosixPath(archive)
    return project_root / (HERE / path.name if path.parent == FOR_AWS else path)


def refuse_stale_archives(inputs: Mapping[str, Any], project_root: Path) -> None:
    """`ValueError` names a module whose copy in an archive of `inputs` is not what stands in the project.

    An archive that is missing, or is not a zip archive, is for whoever opens it to say.
    """
    for value in inputs.values():
        if isinstance(value, dict) and set(value) == {ARCHIVE} and isinstance(value[ARCHIVE], str):
            _refuse_stale(value[ARCHIVE], project_root)


def _refuse_stale(archive: str, project_root: Path) -> None:
    path = archive_path(archive, project_root)
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as packaged:
        for name in packaged.namelist():
            module = project_root / name
            if module.suffix == ".py" and module.is_file() and module.read_bytes() != packaged.read(name):
                raise ValueError(f"the archive {archive} holds another {name} than the project; run: make functions")
