"""The folder a device is given: read back as it was written, and refused when it is not ours."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocol.batch_window import BatchWindow
from protocol.bundle import BUNDLE_FILE, MQTT_TLS_PORT, Bundle, Topics, read_bundle
from protocol.device_id import DeviceId
from protocol.hostnames import device_hostname
from protocol.topics import batch_topic, command_filter
from protocol.traffic import KEEP_ALIVE, SAFE_RECONNECT_WINDOW
from tests.protocol.test_device_id import DEVICE_IDS


def bundle(device: DeviceId = DeviceId("device1"), port: int = MQTT_TLS_PORT) -> Bundle:  # noqa: B008 - a NewType of str
    return Bundle(
        device=device,
        model="fl100",
        domain="iot.example.com",
        hostname=device_hostname(device, "iot.example.com"),
        port=port,
        topics=Topics(batch=batch_topic(device), commands=command_filter(device)),
    )


def written(folder: Path, document: str) -> Path:
    (folder / BUNDLE_FILE).write_text(document, encoding="utf-8")
    return folder


def test_a_bundle_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    read = read_bundle(written(tmp_path, bundle().model_dump_json()))
    assert read == bundle()
    assert read.device_id == "device1"
    assert read.port == 8883, "IANA: secure-mqtt"


def test_a_bundle_of_before_there_was_a_window_has_the_safe_one(tmp_path: Path) -> None:
    older = bundle().model_dump_json(exclude={"reconnect_window_seconds"})
    assert read_bundle(written(tmp_path, older)).reconnect_window == SAFE_RECONNECT_WINDOW


def test_a_bundle_knows_the_keep_alive_of_each_operators_network_and_the_usual_one_elsewhere(tmp_path: Path) -> None:
    older = bundle().model_dump_json(exclude={"keep_alive_seconds", "keep_alive_seconds_by_operator"})
    assert read_bundle(written(tmp_path, older)).keep_alive("Nordtel") == KEEP_ALIVE, "as before there was one"
    told = bundle().model_copy(update={"keep_alive_seconds_by_operator": {"Nordtel": 192}})
    read = read_bundle(written(tmp_path, told.model_dump_json()))
    assert (read.keep_alive("Nordtel"), read.keep_alive("")) == (timedelta(seconds=192), KEEP_ALIVE)


def test_a_bundle_of_before_models_promised_a_window_has_the_usual_one_and_no_place(tmp_path: Path) -> None:
    older = read_bundle(written(tmp_path, bundle().model_dump_json(exclude={"batch_window", "reconnect_place"})))
    assert older.batch_window == BatchWindow(freshest_seconds=75, stalest_seconds=900)
    assert older.reconnect_place is None


@given(DEVICE_IDS, st.integers(min_value=1, max_value=65535))
def test_any_device_and_port_survive_the_document(device: DeviceId, port: int) -> None:
    made = bundle(device, port)
    assert Bundle.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": 2}, "version"),
        ({"device": "Device1"}, "device"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "8883"}, "port"),
        ({"key": "secret"}, "key"),
        ({"reconnect_window_seconds": 29}, "reconnect_window_seconds"),
        ({"reconnect_window_seconds": 86401}, "reconnect_window_seconds"),
        ({"reconnect_place": -0.1}, "reconnect_place"),
        ({"reconnect_place": 1.0}, "reconnect_place"),
        ({"reconnect_place": math.nan}, "reconnect_place"),
        ({"batch_window": {"stalest_seconds": 10}}, "batch_window"),
        ({"batch_window": {"max_rows": 100_001}}, "batch_window.max_rows"),
        ({"keep_alive_seconds": 29}, "keep_alive_seconds"),
        ({"keep_alive_seconds_by_operator": {"Nordtel": 1201}}, "keep_alive_seconds_by_operator.Nordtel"),
        ({"topics": {"batch": "dt/device1/batch"}}, "topics.commands"),
        ({"hostname": None}, "hostname"),
    ],
)
def test_a_document_that_is_not_ours_is_refused_where_it_differs(change: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Bundle.model_validate(bundle().model_dump() | change)
    assert [".".join(map(str, error["loc"])) for error in caught.value.errors()] == [place]


@pytest.mark.parametrize("document", ["", "{}", "[]", "{"])
def test_a_file_that_is_no_bundle_is_refused(document: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        read_bundle(written(tmp_path, document))


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bundle(tmp_path)


def test_a_bundle_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        bundle().port = 1883  # type: ignore[misc]  # the very mistake under test
