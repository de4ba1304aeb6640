"""One reviewed file: what it may say, and how it is told what is wrong."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provisioning.ceremony_file import CeremonyFile, disagreements, read_ceremony_file
from stacks.environment import GATEWAY_AUTHORITY
from stacks.errors import StackError
from stacks.load import STACKS, load_environment
from tests.provisioning.factory import Factory

GOOD: dict[str, Any] = {
    "environment": "dev",
    "root": {"common_name": "R", "organization": "O", "key": "file", "lifetime_years": 30},
    "issuing": {
        "line-a": {"common_name": "A", "key": "file", "lifetime_years": 20, "path_length": 0},
        "line-b": {"common_name": "B", "key": "kms", "lifetime_years": 20, "path_length": 0},
    },
}
STACK_NAMES = ("dev", "staging", "production")


def changed(key: str, value: Any) -> dict[str, Any]:
    """The good file with one key, dotted, set; `None` removes it."""
    document: dict[str, Any] = yaml.safe_load(yaml.safe_dump(GOOD))
    *path, last = key.split(".")
    place = document
    for part in path:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


def read(document: Any, folder: Path) -> CeremonyFile:
    path = folder / "dev.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return read_ceremony_file(path)


REFUSED = [
    ("root.lifetime", 30, "root.lifetime: nothing reads this key"),
    ("root.key", "kms", "root.key: 'kms' is no choice here"),
    ("root.common_name", None, "root.common_name: this key is missing"),
    ("root.common_name", "", "root.common_name: this text is empty"),
    ("root.common_name", "x" * 65, "root.common_name: this text has 65 characters; shorten it to 64"),
    ("root.lifetime_years", "30", "root.lifetime_years: this must be a whole number"),
    ("root.lifetime_years", 51, "root.lifetime_years: 51 is too large; write at most 50"),
    ("root.lifetime_years", 20, "issuing.line-a.lifetime_years: an authority of 20 years outlives its root of 20"),
    ("issuing.line-a.lifetime_years", 31, "an authority of 31 years outlives its root of 30"),
    ("issuing.line-a.path_length", 1, "issuing.line-a.path_length: 1 is too large; write at most 0"),
    ("issuing.line-a.path_length", False, "issuing.line-a.path_length: this must be a whole number, and is False"),
    ("issuing.line-a.key", "hsm", "issuing.line-a.key: 'hsm' is no choice here"),
    ("issuing.line-b.common_name", "A", "issuing.line-b.common_name: 'A' is the name of line-a already"),
    ("issuing.line-b.common_name", "R", "issuing.line-b.common_name: 'R' is the name of the root already"),
    ("issuing.Line_C", GOOD["issuing"]["line-a"], "issuing.Line_C"),
    ("issuing", {}, "issuing: a ceremony without an issuing authority makes nothing"),
    ("environment", "staging", "issuing.line-a.key: an issuing key in a file is allowed in dev only; write kms"),
    ("environment", None, "environment: this key is missing"),
]


@pytest.mark.parametrize(("key", "value", "said"), REFUSED)
def test_a_file_that_breaks_a_rule_is_refused_with_file_line_and_key(
    key: str, value: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(StackError) as refused:
        read(changed(key, value), tmp_path)
    assert said in str(refused.value)
    assert all(problem.file == "dev.yaml" and problem.line for problem in refused.value.problems)


def test_every_contradiction_is_told_at_once_with_its_own_line(tmp_path: Path) -> None:
    document = changed("issuing.line-b.common_name", "A") | {"environment": "staging"}
    with pytest.raises(StackError) as refused:
        read(document, tmp_path)
    assert [problem.key for problem in refused.value.problems] == ["issuing.line-a.key", "issuing.line-b.common_name"]
    assert len({problem.line for problem in refused.value.problems}) == 2


@given(root=st.integers(-5, 60), issuing=st.integers(-5, 60))
def test_a_file_is_accepted_exactly_when_its_lives_fit_into_each_other(
    root: int, issuing: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    document = changed("root.lifetime_years", root)
    for authority in document["issuing"].values():
        authority["lifetime_years"] = issuing
    try:
        read(document, tmp_path_factory.getbasetemp())
    except StackError:
        accepted = False
    else:
        accepted = True
    assert accepted == (1 <= issuing < root <= 50)


@pytest.mark.parametrize("stack", STACK_NAMES)
def test_the_ceremony_of_every_stack_names_exactly_the_stacks_authorities(stack: str) -> None:
    ceremony = read_ceremony_file(STACKS / "ceremonies" / f"{stack}.yaml")
    environment = load_environment(stack, today=date(2026, 11, 23))
    assert ceremony.environment == stack
    assert disagreements(ceremony, environment) == ()
    assert set(ceremony.issuing) == set(environment.issuing)
    assert (ceremony.gateway is not None) is (GATEWAY_AUTHORITY in environment.authorities)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("line-a:", "line-z:", "issuing.line-z: stack dev has no such authority"),
        ("Flotilla Dev Line A Issuing CA", "Another CA", "issuing.line-a.common_name: is Another CA here"),
        (
            "line-a: { common_name: Flotilla Dev Line A",
            "line-b: { common_name: Flotilla Dev Line B",
            "is file here",
        ),
    ],
)
def test_a_ceremony_that_contradicts_its_stack_is_refused(
    old: str, new: str, said: str, opened_factory: Factory, tmp_path: Path
) -> None:
    text = (opened_factory.home / "ceremony.yaml").read_text().replace(old, new)
    held = Factory(tmp_path).ceremony(text)
    assert (held.code, held.out) == (2, "")
    assert said in held.err
    assert not (tmp_path / "factory").exists(), "nothing is written before everything is checked"
