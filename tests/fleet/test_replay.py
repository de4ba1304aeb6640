"""Dead letters come back into the lake: each once, none lost, whatever is killed meanwhile."""

import json
from itertools import islice
from typing import Any

import pytest

from fleet.lake.letters import read_letter
from fleet.lake.replay import Replayed
from protocol.lake import KEY
from protocol.telemetry import encode_batch
from tests.fleet.lake_post import SENT, Killed, LakePost, failed, gathered, refused, undelivered
from tests.functions.test_ingest import batch, event


def good(first: int) -> dict[str, Any]:
    return event(encode_batch(batch(first=first)))


NONSENSE = event(b"nonsense")


def every_kind() -> LakePost:
    """Nine batches in six letters, and three letters that hold none."""
    post = LakePost()
    post.records = [json.dumps(good(100 + 2 * number)).encode() for number in range(5)]
    for letter in (
        refused(good(7)),
        refused(NONSENSE),
        failed(good(9)),
        failed(NONSENSE),
        undelivered(encode_batch(batch(first=11))),
        gathered(1, 3),
        "no json",
    ):
        post.put(letter)
    return post


STORED_SEQUENCES = {7, 8, 9, 10, 11, 12, 102, 103, 104, 105, 106, 107}


def sequences(post: LakePost) -> set[int]:
    return set(post.lake.lake().column("sequence").to_pylist())


def outcomes(found: list[Replayed]) -> list[tuple[str, str]]:
    return [(one.kind, one.outcome) for one in found]


def test_looking_tells_every_reason_and_changes_nothing() -> None:
    post = every_kind()
    before = dict(post.letters)
    found = list(post.replay().look())
    assert outcomes(found) == [
        ("refused", "would be stored"),
        ("refused", "left"),
        ("failed", "would be stored"),
        ("failed", "left"),
        ("undelivered", "would be stored"),
        ("gathered", "would be fetched"),
        ("unknown", "left"),
    ]
    assert [one.reason for one in found[:5]] == ["it was refused then"] * 2 + ["S3 was away"] * 2 + ["no function"]
    assert "not CBOR" in found[1].why
    assert (post.letters, post.hidden, post.lake.objects) == (before, set(), {})


def test_what_was_stored_is_removed_and_what_is_refused_again_stays() -> None:
    post = every_kind()
    found = list(post.replay().send())
    assert outcomes(found) == [
        ("refused", "stored"),
        ("refused", "left"),
        ("failed", "stored"),
        ("failed", "left"),
        ("undelivered", "stored"),
        ("gathered", "stored"),
        ("unknown", "left"),
    ]
    assert sequences(post) == STORED_SEQUENCES
    assert len(post.letters) == 3
    assert not post.hidden, "who looks next sees them at once"
    assert not post.lake.letters, "what is refused again makes no second letter"


def test_a_second_replay_finds_what_is_left_and_stores_nothing_twice() -> None:
    post = every_kind()
    list(post.replay().send())
    before = dict(post.lake.objects)
    assert {outcome for _, outcome in outcomes(list(post.replay().send()))} == {"left"}
    assert post.lake.objects == before


def test_a_batch_that_no_rule_told_the_receipt_of_is_received_when_its_letter_came() -> None:
    letter = read_letter(json.dumps(undelivered(b"", "device7")), sent_milliseconds=SENT)
    assert letter.event == {"payload": "", "device": "device7", "received": SENT}


@pytest.mark.parametrize("dies_at", range(1, 40))
def test_killed_at_any_call_a_rerun_finishes_and_loses_nothing(dies_at: int) -> None:
    post = every_kind()
    post.dies_at = dies_at
    try:
        list(post.replay().send())
    except Killed:
        post.wait()
    post.dies_at = None
    list(post.replay().send())
    assert sequences(post) == STORED_SEQUENCES
    assert len(post.letters) == 3, "a letter is gone only when its batch is stored"
    table = post.lake.lake()
    assert table.group_by(list(KEY)).aggregate([]).num_rows == table.num_rows, "and stored once"


def test_a_function_that_fails_leaves_every_letter() -> None:
    post = every_kind()
    post.fails = True
    found = list(post.replay().send())
    assert {one.outcome for one in found} == {"left"}
    assert "out of memory" in found[0].why
    assert len(post.letters) == 7


def test_records_that_a_stream_no_longer_holds_are_said_to_be_lost() -> None:
    post = LakePost()
    post.put(gathered(1, 3))
    (found,) = post.replay().send()
    assert (found.outcome, found.why) == ("left", "the stream holds its records no longer")
    assert post.letters


def test_a_bad_record_among_gathered_ones_gets_a_letter_of_its_own() -> None:
    post = LakePost(records=[json.dumps(good(7)).encode(), json.dumps(NONSENSE).encode(), json.dumps(good(9)).encode()])
    post.put(gathered(0, 2))
    (found,) = post.replay().send()
    assert found.outcome == "stored"
    assert sequences(post) == {7, 8, 9, 10}
    assert not post.letters
    (letter,) = post.lake.letters
    assert "not CBOR" in json.loads(letter)["reason"], "the new letter says which, and why"


@pytest.mark.parametrize(
    "body",
    ["", "[]", "5", "null", "{}", '{"event": {}}', '{"reason": "x", "event": 7}', '{"requestPayload": 7}']
    + [json.dumps({**undelivered(b""), "topic": topic}) for topic in ("dt/a", "cmd/a/batch", "dt/a/b/batch", "")]
    + [json.dumps({"KinesisBatchInfo": {}})],
)
def test_what_is_no_letter_of_ours_is_left_alone(body: str) -> None:
    post = LakePost()
    post.put(body)
    (found,) = post.replay().send()
    assert (found.kind, found.outcome) == ("unknown", "left")


@pytest.mark.parametrize("sends", [True, False])
def test_a_queue_that_takes_longer_than_its_letters_are_hidden_is_gone_through_once(sends: bool) -> None:
    """The first letters come into sight again before the last are reached."""
    post = LakePost(shows_again_after=3)
    for number in range(55):
        post.put(refused(NONSENSE if number % 2 else good(100 + 2 * number)))
    replay = post.replay()
    found = list(islice(replay.send() if sends else replay.look(), 500))
    assert len(found) == 55, "each counted once, and an end"
    assert sum(one.outcome == "left" for one in found) == 27
    assert not post.hidden
