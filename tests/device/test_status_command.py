"""A person looks into a device's folder; what stands there is what is said, and nothing is changed by looking."""

import json
from pathlib import Path

from typer.testing import CliRunner

from device.__main__ import app
from device.agent_state import start
from device.assembly import BUFFER_FOLDER
from device.buffer.capacity import MIN_BYTES
from device.buffer.row import Priority
from device.buffer.store_file import STORE_FILE
from device.configuration_keeper import ConfigurationKeeper
from device.jobs.journal import Journal
from device.jobs.order import Order, Status, Verdict
from device.row_codec import Provenance, encode_row
from device.shelf import FolderShelf
from device.slot_keeper import SLOTS_FILE
from protocol.batch_window import BatchWindow
from protocol.bundle import BUNDLE_FILE
from protocol.measurement import ClockQuality
from tests.device.buffer.opened import Bench
from tests.device.desk import BUNDLE, MORNING, reading


def device_in(folder: Path) -> Path:
    """One that started twice, was configured, refused an order, and has rows waiting."""
    (folder / BUNDLE_FILE).write_text(BUNDLE.model_dump_json())
    shelf = FolderShelf(folder)
    start(shelf)
    start(shelf)
    ConfigurationKeeper(shelf, BatchWindow()).take({"sample_seconds": 5})
    order = Order("dance-1", 1, 1, {})
    Journal(shelf).conclude(order, Verdict(Status.REJECTED, "unknown operation 'dance'"))
    Journal(shelf).begin(Order("reboot-1", 1, 1, {}), boot=2)
    slots = {
        "active": "b",
        "a": {"state": "confirmed", "version": "1.0.0", "tries": 0},
        "b": {"state": "trying", "version": "2.0.0", "tries": 2},
    }
    shelf.write(SLOTS_FILE, json.dumps(slots).encode())
    (folder / BUFFER_FOLDER).mkdir()
    buffer = Bench(folder / BUFFER_FOLDER).open()
    row = encode_row(Provenance(2, ClockQuality.SYNCHRONIZED, "1.0.0"), MORNING, reading(1))
    buffer.append([row] * 7)
    buffer.append([row], Priority.BULK)
    buffer.close()
    return folder


def ask(folder: Path, *options: str) -> str:
    said = CliRunner().invoke(app, ["status", "--bundle", str(folder), *options])
    assert said.exit_code == 0, said.output
    return said.stdout


def test_a_device_is_looked_into_as_data(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in device_in(tmp_path).rglob("*") if path.is_file()}
    found = json.loads(ask(tmp_path, "--json"))
    assert (found["device"], found["starts"], found["configuration"]) == ("device1", 2, {"sample_seconds": 5.0})
    waiting = {"rows": 7, "oldest": MORNING.isoformat()}
    assert found["buffer"]["waiting"] == {"normal": waiting, "bulk": {**waiting, "rows": 1}}
    assert found["slots"]["active"] == "b"
    assert found["slots"]["b"] == {"state": "trying", "version": "2.0.0", "tries": 2}
    assert [order["status"] for order in found["orders"]] == ["REJECTED", ""]
    assert {path: path.read_bytes() for path in before} == before, "looking changes nothing"


def test_a_device_is_looked_into_by_a_person(tmp_path: Path) -> None:
    said = ask(device_in(tmp_path))
    for words in ("device1, fl100, 2 starts", "normal", "b (runs)", "begun, not over", "unknown operation 'dance'"):
        assert words in said


def test_a_device_that_is_at_work_can_be_looked_into(tmp_path: Path) -> None:
    buffer = Bench(device_in(tmp_path) / BUFFER_FOLDER, total_bytes=MIN_BYTES).open()
    assert json.loads(ask(tmp_path, "--json"))["buffer"]["waiting"]["normal"]["rows"] == 7
    buffer.close()


def test_a_damaged_buffer_is_told_of_and_left_as_it_is(tmp_path: Path) -> None:
    file = device_in(tmp_path) / BUFFER_FOLDER / STORE_FILE
    file.write_bytes(b"no database" * 1000)
    assert json.loads(ask(tmp_path, "--json"))["buffer"]["damage"] == "file is not a database"
    assert "the next start saves what it can" in " ".join(ask(tmp_path).split())
    assert file.exists()


def test_a_folder_that_is_no_devices_is_refused_with_the_way_out(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["status", "--bundle", str(tmp_path)])
    assert said.exit_code == 2
    assert "give the folder that `provisioning issue` wrote" in said.stderr.replace("\n", " ")


def test_a_bundle_that_is_no_text_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / BUNDLE_FILE).write_bytes(b"\xff\xfe")
    said = CliRunner().invoke(app, ["status", "--bundle", str(tmp_path)])
    assert said.exit_code == 2
    assert "holds no bundle of ours" in said.stderr.replace("\n", " ")


def test_a_new_device_has_nothing_to_tell_and_says_so(tmp_path: Path) -> None:
    (tmp_path / BUNDLE_FILE).write_text(BUNDLE.model_dump_json())
    said = ask(tmp_path)
    for words in ("no cluster yet", "the defaults", "0 bytes", "a (runs)"):
        assert words in said
