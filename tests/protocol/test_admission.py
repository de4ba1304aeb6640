"""What the factory tells the cloud about an identity survives the table, and nothing else is taken for it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.admission import MANIFEST_KEY, ManifestEntry, Standing
from protocol.device_id import DeviceId
from tests.protocol.test_device_id import DEVICE_IDS

ENTRY = ManifestEntry(
    fingerprint="0123456789abcdef" * 4,
    device=DeviceId("device1"),
    model="fl100",
    authority="line-a",
    serial="5f3a",
    not_after=datetime(2041, 6, 30, 12, tzinfo=UTC),
    standing=Standing.GOOD,
)
ENTRIES = st.builds(
    ManifestEntry,
    fingerprint=st.binary(min_size=32, max_size=32).map(bytes.hex),
    device=DEVICE_IDS,
    model=st.text(max_size=20),
    authority=st.text(max_size=20),
    serial=st.integers(min_value=1, max_value=2**159).map("{:x}".format),
    not_after=st.datetimes(timezones=st.just(UTC)),
    standing=st.sampled_from(Standing),
    common_name=st.text(max_size=20),
)


@given(ENTRIES)
def test_an_entry_is_read_back_from_its_item_as_it_was(entry: ManifestEntry) -> None:
    item = entry.to_item()
    assert ManifestEntry.from_item(json.loads(json.dumps(item))) == entry
    assert all(isinstance(value, str) for value in item.values()), "the table holds plain strings"


def test_the_item_is_keyed_by_the_fingerprint_and_holds_exactly_this() -> None:
    assert MANIFEST_KEY == "fingerprint"
    assert ENTRY.to_item() == {
        "fingerprint": "0123456789abcdef" * 4,
        "device": "device1",
        "model": "fl100",
        "authority": "line-a",
        "serial": "5f3a",
        "not_after": "2041-06-30T12:00:00+00:00",
        "standing": "good",
    }


def test_what_a_vendor_calls_an_element_stands_in_the_item_where_there_is_such_a_name() -> None:
    named = replace(ENTRY, common_name="sn0123F2408EA1FCF201")
    assert named.to_item() == {**ENTRY.to_item(), "common_name": "sn0123F2408EA1FCF201"}
    assert ManifestEntry.from_item(named.to_item()) == named


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fingerprint", "0123456789ABCDEF" * 4),
        ("fingerprint", "0" * 63),
        ("fingerprint", "0" * 64 + "\n"),
        ("fingerprint", ""),
        ("device", "Device1"),
        ("device", "../device1"),
        ("not_after", "2041-06-30T12:00:00"),
        ("not_after", "soon"),
        ("standing", "fine"),
        ("standing", "GOOD"),
        ("standing", ""),
        ("standing", None),
    ],
)
def test_an_item_with_a_bad_value_is_no_entry(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        ManifestEntry.from_item({**ENTRY.to_item(), field: value})


@pytest.mark.parametrize("field", list(ENTRY.to_item()))
def test_an_item_without_one_of_its_values_is_no_entry(field: str) -> None:
    item = {name: value for name, value in ENTRY.to_item().items() if name != field}
    with pytest.raises(KeyError, match=field):
        ManifestEntry.from_item(item)


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    item = ENTRY.to_item() | {"not_after": "2041-06-30T14:00:00+02:00"}
    read = ManifestEntry.from_item(item).not_after
    assert read == ENTRY.not_after
    assert read.tzinfo == timezone(timedelta(hours=2))
