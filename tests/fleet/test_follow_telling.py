"""What an operator reads after devices were followed."""

import pytest

from fleet.commands.follow_telling import MAX_NAMED, followed_facts, tell_followed
from fleet.routing.following import Followed
from protocol.device_id import parse_device_id

SLEEPERS = tuple(parse_device_id(f"s{number:02}") for number in range(MAX_NAMED + 1))
FOLLOWED = Followed(
    settled=(parse_device_id("d1"), parse_device_id("d2")),
    returned={parse_device_id("d3"): "not in us1 within 25 min: it vanished"},
    unseen=SLEEPERS,
    superseded=(),
)


def test_devices_that_were_moved_back_are_told_with_what_was_seen_and_sleepers_by_name_up_to_a_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell_followed(FOLLOWED)
    told = capsys.readouterr().out
    assert "2 settled" in told
    assert "d3" in told
    assert "not in us1 within 25 min: it vanished" in told
    assert f"{len(SLEEPERS)} not seen since" in told
    assert SLEEPERS[MAX_NAMED - 1] in told
    assert SLEEPERS[MAX_NAMED] not in told, "a table is for people"


def test_json_names_every_device() -> None:
    facts = followed_facts(FOLLOWED)
    assert facts["unseen"] == list(SLEEPERS)
    assert facts["moved_back"] == [{"device": "d3", "seen": "not in us1 within 25 min: it vanished"}]
