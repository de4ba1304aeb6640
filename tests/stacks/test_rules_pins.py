"""Which devices may be pinned, where, and until when."""

from datetime import date

import pytest

from stacks.environment import MAX_PINNED_DEVICES
from stacks.rules import pins
from tests.stacks.values import clusters, pin

TODAY = date(2026, 6, 1)


def test_two_hundred_pins_are_accepted_and_one_more_is_refused() -> None:
    most = [pin(f"device{number}") for number in range(MAX_PINNED_DEVICES)]
    assert not list(pins.few_pins(most))
    (breach,) = pins.few_pins([*most, pin("another")])
    assert breach.path == ("pins", 200)
    assert "201 devices are pinned" in breach.rule
    assert "fleet route" in breach.way_out


def test_a_device_pinned_twice_is_refused_at_its_second_pin() -> None:
    (breach,) = pins.devices_pinned_once([pin("a"), pin("b"), pin("a", cluster="us1")])
    assert breach.path == ("pins", 2, "device")
    assert "pins[0]" in breach.rule
    assert not list(pins.devices_pinned_once([pin("a"), pin("b")]))


@pytest.mark.parametrize("device", ["default", "gw", "clusters", "eu1"])
def test_a_device_named_like_a_cluster_or_a_label_of_the_zone_is_refused(device: str) -> None:
    (breach,) = pins.pinned_names_are_free([pin("device1"), pin(device)], clusters())
    assert breach.path == ("pins", 1, "device")


def test_a_device_named_almost_like_a_cluster_is_accepted() -> None:
    assert not list(pins.pinned_names_are_free([pin("eu10"), pin("default1")], clusters()))


def test_a_pin_with_both_targets_or_none_is_refused() -> None:
    both, neither = pins.pins_have_one_target([pin(address="192.0.2.1"), pin("b", cluster=None)])
    assert (both.path, neither.path) == (("pins", 0), ("pins", 1))
    assert "this has both" in both.rule
    assert "this has neither" in neither.rule


def test_a_pin_with_one_target_is_accepted() -> None:
    assert not list(pins.pins_have_one_target([pin(), pin("b", cluster=None, address="192.0.2.1")]))


def test_a_pin_whose_target_does_not_exist_is_refused() -> None:
    (breach,) = pins.pin_targets_exist([pin(), pin("b", cluster="eu9")], clusters())
    assert breach.path == ("pins", 1, "cluster")
    assert "name one of eu1, us1, ap1" in breach.way_out


def test_a_pin_that_leads_data_out_of_its_residency_is_refused() -> None:
    (breach,) = pins.pins_keep_residency([pin(residency="EU"), pin("b", residency="EU", cluster="us1")], clusters())
    assert breach.path == ("pins", 1, "cluster")
    assert "must stay in EU, and cluster us1 keeps it in US" in breach.rule
    assert "pin it to eu1" in breach.way_out


def test_an_address_that_nothing_proves_to_lie_in_the_residency_is_refused() -> None:
    (breach,) = pins.pins_keep_residency([pin(cluster=None, address="192.0.2.1", residency="EU")], clusters())
    assert breach.path == ("pins", 0, "address")


def test_a_pin_without_residency_may_lead_anywhere() -> None:
    assert not list(pins.pins_keep_residency([pin(cluster="us1")], clusters()))


def test_a_pin_stands_on_its_last_day_and_not_on_the_next() -> None:
    last_day = [pin(expires=TODAY)]
    assert not list(pins.pins_stand(last_day, TODAY))
    (breach,) = pins.pins_stand(last_day, date(2026, 6, 2))
    assert breach.path == ("pins", 0, "expires")
    assert "expired on 2026-06-01" in breach.rule
