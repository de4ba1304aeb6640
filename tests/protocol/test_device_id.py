"""One string serves DNS, MQTT, certificates and the cloud: what it may be, and what each of them would refuse."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.device_id import MAX_DEVICE_ID_CHARACTERS, DeviceId, InvalidDeviceIdError, parse_device_id

EDGES = string.ascii_lowercase + string.digits
DEVICE_IDS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True).map(DeviceId)

PRINTABLE_STRING = set(string.ascii_letters + string.digits + " '()+,-./:=?")
"""X.680, section 41.4."""


@pytest.mark.parametrize("text", ["a", "0", "device1", "a-b", "a--b", "x" * 63, "0123456789abcdef"])
def test_a_dns_label_in_lower_case_is_a_device_id(text: str) -> None:
    assert parse_device_id(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty; give 1 to 63 lower-case letters"),
        ("x" * 64, "has 64 characters; a DNS label holds at most 63"),
        ("Device1", "has capitals"),
        ("DÉVICE", "has capitals"),
        ("device_1", "is no DNS label"),
        ("device.1", "is no DNS label"),
        ("-device", "is no DNS label"),
        ("device-", "is no DNS label"),
        ("device 1", "is no DNS label"),
        ("device1\n", "is no DNS label"),
        ("*", "is no DNS label"),
        ("gerät", "is no DNS label"),
        ("a/b", "is no DNS label"),
        ("a+b", "is no DNS label"),
        ("a#", "is no DNS label"),
        ("١٢٣", "is no DNS label"),
    ],
)
def test_anything_else_is_refused_with_its_rule(text: str, told: str) -> None:
    with pytest.raises(InvalidDeviceIdError, match=told):
        parse_device_id(text)


@given(DEVICE_IDS)
def test_every_label_of_the_grammar_is_accepted_unchanged(text: str) -> None:
    assert parse_device_id(text) == text


@given(st.text(max_size=MAX_DEVICE_ID_CHARACTERS + 2) | DEVICE_IDS)
def test_whatever_is_accepted_fits_dns_mqtt_and_certificates(text: str) -> None:
    try:
        device = parse_device_id(text)
    except InvalidDeviceIdError:
        return
    assert 1 <= len(device) <= MAX_DEVICE_ID_CHARACTERS
    assert device[0] in EDGES
    assert device[-1] in EDGES
    assert device == device.lower(), "DNS folds case and MQTT does not"
    assert set(device) <= PRINTABLE_STRING, "it becomes a PrintableString"
    assert not set(device) & set("/+#*."), "it is one topic level, one DNS label, and no wildcard"
