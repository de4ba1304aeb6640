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
    for story in scenario.stories:
        times = [step.at for step in story.steps]
        assert times == sorted(times)
        assert times[-1] < story.lasts
        assert story.restored_at is None or story.restored_at in times
        assert story.restored_at is not None or not story.expects.spreads_return


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_broker_that_is_killed_is_started_again_or_the_fleet_is_led_elsewhere(scenario: Scenario) -> None:
    for story in scenario.stories:
        acts = [step.act for step in story.steps]
        if any(isinstance(act, Kill) for act in acts):
            assert any(isinstance(act, Start | Lead) for act in acts)
        assert (story.expects.ends_at == SECOND) is any(isinstance(act, Lead) for act in acts)


def test_the_cut_outlasts_what_a_broker_waits_for_a_device_and_keeps_of_it() -> None:
    silent = CUT.steps[1].at - CUT.steps[0].at
    assert silent > (KEEP_ALIVE * LENIENCY * SERVER_PATIENCE + SESSION_EXPIRY).total_seconds()


def test_shares_are_whole_lanes() -> None:
    shares = {
        share
        for scenario in SCENARIOS.values()
        for story in scenario.stories
        for step in story.steps
        if (share := getattr(step.act, "share", None)) is not None
    }
    assert shares
    assert all(share * LANES == pytest.approx(round(share * LANES)) for share in shares)


def test_one_story_after_another_is_one_story() -> None:
    whole = one_after_another("all", OUTAGE, LOSS, REGION_LOSS)
    assert whole.stories == (OUTAGE, LOSS, REGION_LOSS), "each keeps what must come of it"
    assert whole.lasts == OUTAGE.lasts + LOSS.lasts + REGION_LOSS.lasts
    assert (OUTAGE.stories, OUTAGE.ends_at, whole.ends_at) == ((OUTAGE,), FIRST, SECOND)
    assert whole.needs == OUTAGE.needs | LOSS.needs | REGION_LOSS.needs
    assert {Kill, Lead} <= whole.needs


def test_a_fleet_is_moved_by_the_last_of_many_stories_only() -> None:
    for scenario in SCENARIOS.values():
        assert SECOND not in {story.expects.ends_at for story in scenario.stories[:-1]}
