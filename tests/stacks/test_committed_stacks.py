"""The environments of this repository are what they say they are."""

from datetime import date

import pytest

from protocol.device_id import parse_device_id
from stacks.environment import AuthorityKey, Choice, Environment, KeyStorage, Residency
from stacks.errors import StackError
from stacks.load import available_stacks, load_environment

TODAY = date(2026, 6, 1)
LONG_AFTER = date(2036, 6, 30)
"""The day the first pin ends: until then no test of this repository fails because time passes."""


def committed(stack: str) -> Environment:
    return load_environment(stack, today=TODAY)


def test_there_are_three_stacks() -> None:
    assert available_stacks() == ("dev", "production", "staging")


@pytest.mark.parametrize("stack", ["dev", "staging", "production"])
@pytest.mark.parametrize("today", [TODAY, LONG_AFTER])
def test_every_committed_stack_loads_now_and_for_years(stack: str, today: date) -> None:
    assert load_environment(stack, today=today).name == stack


def test_production_has_three_clusters_on_three_continents() -> None:
    clusters = committed("production").clusters
    assert [cluster.region for cluster in clusters.values()] == ["eu-west-1", "us-east-1", "ap-southeast-2"]
    assert {cluster.residency for cluster in clusters.values()} == set(Residency)


def test_production_signs_with_kms_and_the_hsm_of_a_station_and_lets_the_factory_make_no_key() -> None:
    production = committed("production")
    keys = {name: authority.key for name, authority in production.authorities.items()}
    assert keys.pop("tallinn-1") is AuthorityKey.PKCS11
    assert set(keys.values()) == {AuthorityKey.KMS}
    assert KeyStorage.FLASH not in {model.key_storage for model in production.models.values()}
    assert production.firmware.retention_mode == "COMPLIANCE"


def test_production_buys_every_part_from_more_than_one_vendor() -> None:
    models = committed("production").models.values()
    for part in ("vendor", "soc", "modem"):
        assert len({getattr(model, part) for model in models}) >= 2, part


def test_each_stack_chooses_its_default_in_its_own_way() -> None:
    assert {stack: committed(stack).default.choose for stack in available_stacks()} == {
        "dev": Choice.SINGLE,
        "staging": Choice.LATENCY,
        "production": Choice.GEOLOCATION,
    }


def test_no_stack_lets_one_plan_move_more_than_a_tenth_of_its_fleet_unasked() -> None:
    assert {stack: committed(stack).routing.max_share_percent for stack in available_stacks()} == {
        "dev": 10,
        "staging": 10,
        "production": 10,
    }


def test_dev_can_show_every_way_to_make_a_key_and_both_kinds_of_pin() -> None:
    dev = committed("dev")
    assert {authority.key for authority in dev.authorities.values()} == {AuthorityKey.FILE, AuthorityKey.KMS}
    assert {pin.device: pin.cluster or pin.address for pin in dev.pins} == {"pinned1": "us1", "desk1": "192.0.2.100"}
    assert dev.models["fl50"].key_storage is KeyStorage.FLASH


def test_every_pinned_device_has_a_device_id() -> None:
    for stack in available_stacks():
        for pin in committed(stack).pins:
            assert parse_device_id(pin.device) == pin.device


def test_a_date_that_passed_stops_a_deployment_and_no_manufacturing_line() -> None:
    far = date(2099, 1, 1)
    with pytest.raises(StackError, match="expired"):
        load_environment("production", today=far)
    assert load_environment("production", today=None).name == "production"
