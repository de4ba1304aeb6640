"""A plan takes the place of nothing, or of a plan that nobody has begun."""

from pathlib import Path

import pytest

from fleet.errors import RefusedError
from fleet.plan_place import standing_plan
from fleet.routing.plan_file import write_plan
from tests.fleet.plans import change, header


def test_a_plan_of_another_environment_is_left_alone(tmp_path: Path) -> None:
    """Only the other environment's journal knows whether somebody began it."""
    heading = header()
    written = write_plan(tmp_path / "plan", heading, [change("device1")])
    assert standing_plan(tmp_path / "plan", heading.environment) == written
    with pytest.raises(RefusedError, match=f"is a plan of {heading.environment}, not of elsewhere"):
        standing_plan(tmp_path / "plan", "elsewhere")
    assert standing_plan(tmp_path / "another", heading.environment) is None
