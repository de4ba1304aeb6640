"""Stack files of a test's own: the committed ones, with more authorities."""

import shutil
from pathlib import Path

import pytest

from stacks.load import STACKS, load_environment

LAST_AUTHORITY = "    line-b: { key: kms, common_name: Flotilla Dev Line B Issuing CA }\n"


def with_authorities(monkeypatch: pytest.MonkeyPatch, folder: Path, **authorities: str) -> None:
    """Stack dev has these authorities too, for this test: `line_s="key: file, common_name: Line S"`."""
    folder.mkdir()
    for path in STACKS.glob("Pulumi.*.yaml"):
        shutil.copy(path, folder)
    dev = folder / "Pulumi.dev.yaml"
    text = dev.read_text(encoding="utf-8")
    assert LAST_AUTHORITY in text, "the committed stack changed; say here where its authorities end now"
    more = "".join(f"    {name.replace('_', '-')}: {{ {value} }}\n" for name, value in authorities.items())
    dev.write_text(text.replace(LAST_AUTHORITY, LAST_AUTHORITY + more), encoding="utf-8")
    defaults = load_environment.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "directory", folder)
