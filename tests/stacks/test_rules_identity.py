"""Who may sign devices, for which hardware, and how firmware must be kept."""

from datetime import date
from typing import Literal

import pytest

from stacks.environment import Firmware
from stacks.rules import identity
from tests.stacks.values import authority, model

TODAY = date(2026, 6, 1)


def test_an_environment_without_authorities_or_models_is_refused() -> None:
    assert [breach.path for breach in identity.some_authority({})] == [("authorities",)]
    assert [breach.path for breach in identity.some_model({})] == [("models",)]
    assert not list(identity.some_authority({"line-a": authority()}))
    assert not list(identity.some_model({"fl100": model()}))


@pytest.mark.parametrize("name", ["staging", "production", "dev2"])
def test_a_key_in_a_file_is_refused_outside_dev(name: str) -> None:
    (breach,) = identity.keys_in_files_at_the_desk_only(name, {"a": authority("kms"), "b": authority("file")})
    assert breach.path == ("authorities", "b", "key")
    assert breach.way_out == "write key: kms"


def test_a_key_in_a_file_is_accepted_in_dev() -> None:
    assert not list(identity.keys_in_files_at_the_desk_only("dev", {"a": authority("file")}))


def test_a_common_name_that_two_authorities_share_is_refused_whatever_its_case() -> None:
    (breach,) = identity.common_names_differ({"a": authority(), "b": authority(common_name="LINE A Issuing CA")})
    assert breach.path == ("authorities", "b", "common_name")
    assert "that of authority a already" in breach.rule
    assert not list(identity.common_names_differ({"a": authority(), "b": authority(common_name="Line B")}))


def test_a_model_is_supported_on_its_last_day_and_not_on_the_next() -> None:
    models = {"fl100": model(support_until=TODAY)}
    assert not list(identity.models_are_supported(models, TODAY))
    (breach,) = identity.models_are_supported(models, date(2026, 6, 2))
    assert breach.path == ("models", "fl100", "support_until")


@pytest.mark.parametrize(
    ("name", "mode", "refused"),
    [
        ("production", "GOVERNANCE", True),
        ("production", "COMPLIANCE", False),
        ("staging", "GOVERNANCE", False),
        ("dev", "COMPLIANCE", False),
    ],
)
def test_production_alone_must_lock_its_firmware_against_everyone(
    name: str, mode: Literal["GOVERNANCE", "COMPLIANCE"], *, refused: bool
) -> None:
    firmware = Firmware(retention_mode=mode, retention_days=30)
    breaches = [breach.path for breach in identity.production_firmware_is_kept(name, firmware)]
    assert breaches == ([("firmware", "retention_mode")] if refused else [])
