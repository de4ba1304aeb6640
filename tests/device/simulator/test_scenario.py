"""The stories that a fleet is taken through are data, and the data is sound."""

import pytest

from device.simulator.identities import KEEP_ALIVE, SESSION_EXPIRY
from device.simulator.impaired_proxy import LANES
from device.simulator.lean_link import LENIENCY
from device.simulator.scenario import (
    CUT,
    FIRST,
    LOSS,
    OUTAGE,
    REGION_LOSS,
    SCENARIOS,
    SECOND,
    Kill,
    Lead,
    Scenario,
    Start,
    one_after_another,
)
from protocol.traffic import SERVER_PATIENCE


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_story_is_in_order_and_ends_after_its_last_act(scenario: Scenario) -> None:
    times = [step.at for step in scenario.steps]
    assert times == sorted(times)
    assert times[-1] < scenario.lasts
    assert scenario.restored_at is None or scenario.restored_at in times
    assert scenario.restored_at is not None or not scenario.expects.spreads_return


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_broker_that_is_killed_is_started_again_or_the_fleet_is_led_elsewhere(scenario: Scenario) -> None:
    acts = [step.act for step in scenario.steps]
    if any(isinstance(act, Kill) for act in acts):
        assert any(isinstance(act, Start | Lead) for act in acts)
    assert (scenario.expects.ends_at == SECOND) is any(isinstance(act, Lead) for act in acts)


def test_the_cut_outlasts_what_a_broker_waits_for_a_device_and_keeps_of_it() -> None:
    silent = CUT.steps[1].at - CUT.steps[0].at
    assert silent > (KEEP_ALIVE * LENIENCY * SERVER_PATIENCE + SESSION_EXPIRY).total_seconds()


def test_shares_are_whole_lanes() -> None:
    shares = {
        share
        for scenario in SCENARIOS.values()
        for step in scenario.steps
        if (share := getattr(step.act, "share", None)) is not None
    }
    assert shares
    assert all(share * LANES == pytest.approx(round(share * LANES)) for share in shares)


def test_one_story_after_another_is_one_story() -> None:
    whole = one_after_another("all", OUTAGE, LOSS, REGION_LOSS)
    assert whole.lasts == OUTAGE.lasts + LOSS.lasts + REGION_LOSS.lasts
    assert len(whole.steps) == len(OUTAGE.steps) + len(LOSS.steps) + len(REGION_LOSS.steps)
    assert [step.at for step in whole.steps] == sorted(step.at for step in whole.steps)
    assert whole.steps[len(OUTAGE.steps)].at == OUTAGE.lasts + LOSS.steps[0].at
    assert (whole.expects.ends_at, whole.expects.reconnects_at_least) == (SECOND, 2), "a part of the fleet is no fleet"
    assert one_after_another("one", OUTAGE).expects.ends_at == FIRST
