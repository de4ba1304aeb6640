"""A policy file becomes a policy, or everything that is wrong with it is told with its line."""

from pathlib import Path

import pytest

from fleet.policy_file import read_policy
from fleet.routing.allocation import ByCountry, ByDevice, ByModel, ByResidency, Fixed, Keep, Weighted
from fleet.routing.target import DEFAULT, Target
from stacks.errors import StackError

CLUSTERS = ("eu1", "eu2", "us1")
GOOD = """\
devices:
  device1: us1
otherwise:
  model:
    fl50: keep
  otherwise:
    country: {"NO": eu2}
    otherwise:
      residency:
        EU: {weights: {eu1: 3, eu2: 0.5}}
        US: us1
      otherwise: default
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_policy_of_every_kind_is_read(tmp_path: Path) -> None:
    eu2, us1 = Fixed(Target(cluster="eu2")), Fixed(Target(cluster="us1"))
    by_residency = ByResidency({"EU": Weighted({"eu1": 3, "eu2": 0.5}), "US": us1}, Fixed(DEFAULT))
    assert read_policy(written(tmp_path, GOOD), CLUSTERS) == ByDevice(
        {"device1": us1}, ByModel({"fl50": Keep()}, ByCountry({"NO": eu2}, by_residency))
    )


def test_a_device_that_is_not_named_is_kept_where_nothing_else_is_said(tmp_path: Path) -> None:
    assert read_policy(written(tmp_path, "model: {fl50: us1}\n"), CLUSTERS) == ByModel(
        {"fl50": Fixed(Target(cluster="us1"))}, Keep()
    )


@pytest.mark.parametrize(
    ("text", "place", "rule"),
    [
        ("residency:\n  EU: eu9\n", "policy.yaml:2: residency.EU", "no cluster eu9; name one of eu1, eu2, us1"),
        ("residency:\n  MARS: eu1\n", "policy.yaml:2: residency.MARS", "there are EU, US, AP"),
        ("country: {Germany: eu1}\n", "policy.yaml:1: country.Germany", "no country code"),
        ("country:\n  NO: eu1\n", "policy.yaml:2", "a key is text"),
        ("devices:\n  Device1: eu1\n", "policy.yaml:2: devices.Device1", "use lower case"),
        ("model: {}\n", "policy.yaml:1: model", "name at least one"),
        ("weights:\n  eu1: 3\n  eu2: 0\n", "policy.yaml:3: weights.eu2", "no number above 0"),
        ("weights:\n  eu1: yes\n", "policy.yaml:2: weights.eu1", "no number above 0"),
        ("weights:\n  eu1: .inf\n", "policy.yaml:2: weights.eu1", "no number above 0"),
        ("weights: {eu9: 1}\n", "policy.yaml:1: weights.eu9", "no cluster eu9"),
        ("weights: {}\n", "policy.yaml:1: weights", "mapping of clusters"),
        ("weights: {eu1: 1}\notherwise: us1\n", "policy.yaml:2: otherwise", "leave no device over"),
        ("weights: {eu1: 1}\nmodel: {fl50: us1}\n", "policy.yaml:1", "one thing, not at 2"),
        ("otherwise: us1\n", "policy.yaml:1", "one thing, not at 0"),
        ("model:\n  fl50: [us1]\n", "policy.yaml:2: model.fl50", "a policy is"),
        ("model:\n  fl50: 192.0.2.1\n", "policy.yaml:2: model.fl50", "only a debug redirect"),
        ("model:\n  fl50: No Target\n", "policy.yaml:2: model.fl50", "is no target"),
        ("modell: {fl50: us1}\nmodel: {fl50: us1}\n", "policy.yaml:1: modell", "no policy has this key"),
        ("- eu1\n", "policy.yaml:1", "mapping"),
        ("weights: {eu1: 1\n", "policy.yaml", "not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, place: str, rule: str) -> None:
    with pytest.raises(StackError) as told:
        read_policy(written(tmp_path, text), CLUSTERS)
    assert place in str(told.value)
    assert rule in str(told.value)


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(StackError) as told:
        read_policy(written(tmp_path, "residency:\n  EU: eu9\n  MARS: us1\notherwise: 7\n"), CLUSTERS)
    assert [problem.line for problem in told.value.problems] == [2, 3, 4]
