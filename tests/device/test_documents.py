"""The small documents of a device: what is written is read back, and what is wrong is refused where it is wrong."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.clock_quality import clock_quality, kernel_is_synchronized
from device.configuration import Configuration
from device.configuration_keeper import (
    ConfigurationKeeper,
    InvalidConfigurationError,
    as_document,
    read_configuration,
)
from device.exchange import read_object
from device.row_codec import Provenance, UnreadableRowError, decode_row, encode_row
from device.shadow import difference
from device.shelf import FolderShelf, MemoryShelf
from protocol.batch_window import BatchWindow
from protocol.measurement import ClockQuality, Reading

MADE = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1978, 8, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - bounds
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
READINGS = st.lists(
    st.builds(
        Reading,
        channel=st.text(min_size=1, max_size=20),
        value=st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9),
        unit=st.sampled_from(["Cel", "V", "%RH"]),
    ),
    min_size=1,
    max_size=8,
).map(tuple)


@given(MOMENTS, READINGS, st.integers(1, 10**6), st.sampled_from(ClockQuality))
def test_a_row_comes_out_of_the_buffer_as_it_went_in(
    moment: datetime, readings: tuple[Reading, ...], boot: int, clock: ClockQuality
) -> None:
    provenance = Provenance(boot, clock, "1.0.0")
    assert decode_row(encode_row(provenance, moment, readings)) == (provenance, moment, readings)


@pytest.mark.parametrize(
    "stored",
    [b"", b"\xff", b"\x80", b"\x84\x01\x02\x61a\x00", b"\x86\x01\x09\x61a\x00\x61a\x61b", b"\xa0", b"\x01"],
)
def test_bytes_that_are_no_row_are_known_for_it(stored: bytes) -> None:
    with pytest.raises(UnreadableRowError):
        decode_row(stored)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(stored: bytes) -> None:
    try:
        decode_row(stored)
    except UnreadableRowError:
        return


@pytest.mark.parametrize(
    ("shows", "is_synchronized", "quality"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), True, ClockQuality.UNKNOWN),
        (MADE - timedelta(seconds=1), True, ClockQuality.UNKNOWN),
        (MADE, False, ClockQuality.HELD),
        (MADE, True, ClockQuality.SYNCHRONIZED),
    ],
)
def test_a_clock_that_shows_a_day_before_the_device_was_made_was_never_set(
    shows: datetime, quality: ClockQuality, *, is_synchronized: bool
) -> None:
    assert clock_quality(clock=lambda: shows, not_before=MADE, is_synchronized=lambda: is_synchronized) is quality


def test_the_machine_answers_whether_its_clock_is_kept() -> None:
    assert kernel_is_synchronized() in {True, False}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"sample_seconds": 0}, "sample_seconds"),
        ({"sample_seconds": "often"}, "sample_seconds"),
        ({"colour": "red"}, "colour"),
        ({"channels": {"temperature": {"deadband": -1}}}, "channels.temperature.deadband"),
        ({"channels": {"temperature": {"priority": "high"}}}, "channels.temperature.priority"),
        ({"window": {"freshest_seconds": 100, "stalest_seconds": 10}}, "window"),
        ({"window": {"freshest_seconds": 1}}, "window.freshest_seconds"),
        ({"window": {"stalest_seconds": 901}}, "window.stalest_seconds"),
        ({"tariff": 1.5}, "tariff"),
        ({"time_to_live_seconds": {"normal": 0}}, "time_to_live_seconds.normal"),
        ({"time_to_live_seconds": {"high": 3600}}, "time_to_live_seconds.high"),
        ({"time_to_live_seconds": {"bulk": 900}}, "time_to_live_seconds.bulk"),
        ({"time_to_live_seconds": {"bulk": 600}, "window": {"stalest_seconds": 600}}, "time_to_live_seconds.bulk"),
        ([], "the document"),
        (None, "the document"),
    ],
)
def test_a_configuration_that_is_none_is_refused_with_the_place(document: Any, place: str) -> None:
    with pytest.raises(InvalidConfigurationError) as refused:
        read_configuration(document, BatchWindow())
    assert list(refused.value.reasons) == [place]


def test_rows_live_longer_than_their_batch_may_wait_but_for_urgent_ones_which_do_not_wait() -> None:
    document = {"time_to_live_seconds": {"urgent": 1, "normal": 601, "bulk": 601}, "window": {"stalest_seconds": 600}}
    assert as_document(read_configuration(document, BatchWindow())) == document


def test_a_configuration_outlives_a_restart_and_a_refused_one_leaves_no_trace(tmp_path: Path) -> None:
    keeper = ConfigurationKeeper(FolderShelf(tmp_path), BatchWindow())
    keeper.take({"sample_seconds": 5, "channels": {"battery": {"deadband": 0.05}}})
    with pytest.raises(InvalidConfigurationError):
        keeper.take({"sample_seconds": 0})
    again = ConfigurationKeeper(FolderShelf(tmp_path), BatchWindow()).current
    assert as_document(again) == {"sample_seconds": 5.0, "channels": {"battery": {"deadband": 0.05}}}
    assert again.channels["battery"].deadband == Decimal("0.05"), "exact, though JSON has it as a number"


@pytest.mark.parametrize("damage", [b"", b"{", b'{"sample_seconds": 0}', b'{"of": "a newer firmware"}'])
def test_a_damaged_configuration_means_the_defaults(damage: bytes) -> None:
    shelf = MemoryShelf()
    shelf.write("configuration.json", damage)
    assert ConfigurationKeeper(shelf, BatchWindow()).current == Configuration()


def test_a_kept_wish_that_the_model_does_not_promise_any_more_means_the_defaults() -> None:
    shelf = MemoryShelf()
    ConfigurationKeeper(shelf, BatchWindow(stalest_seconds=3600)).take({"window": {"stalest_seconds": 3600}})
    assert ConfigurationKeeper(shelf, BatchWindow(stalest_seconds=3600)).current.window.stalest_seconds == 3600
    assert ConfigurationKeeper(shelf, BatchWindow()).current == Configuration()


class FullShelf(MemoryShelf):
    """Flash that takes nothing."""

    def write(self, name: str, content: bytes) -> None:
        raise OSError(28, "No space left on device", name)


def test_a_configuration_that_cannot_be_kept_is_not_worked_by() -> None:
    """It would be another one after the next restart, and nobody would know why."""
    changes: list[int] = []
    keeper = ConfigurationKeeper(FullShelf(), BatchWindow())
    keeper.listen(lambda: changes.append(1))
    with pytest.raises(OSError, match="No space left"):
        keeper.take({"sample_seconds": 5})
    assert keeper.current == Configuration()
    assert changes == []


DOCUMENTS = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
STATES = st.dictionaries(st.sampled_from("abcd"), DOCUMENTS, max_size=4)


def merged(state: Any, patch: Any) -> Any:
    """As the shadow service merges: objects by key, null deletes, an object left empty is gone."""
    if not (isinstance(state, dict) and isinstance(patch, dict)):
        return patch
    result = {key: value for key, value in state.items() if key not in patch}
    for key, value in patch.items():
        if value is not None:
            result[key] = merged(state.get(key), value)
    return result


@given(STATES, STATES)
def test_a_report_makes_the_shadow_say_what_the_device_does(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert merged(before, difference(before, after)) == after
    assert difference(after, after) == {}, "and nothing is sent when it says so already"


@pytest.mark.parametrize("payload", [b"", b"[]", b"1", b"{", b"\xff", b"null"])
def test_a_payload_that_is_no_object_is_an_empty_one(payload: bytes) -> None:
    assert read_object(payload) == {}
