"""A fleet moves from one authority to the next: wave by wave, each device with a new key, none forgotten."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.device_id import DeviceId
from provisioning.algorithm import public_key_der
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Reason
from tests.provisioning import batches
from tests.provisioning.factory import CEREMONY, Factory, Finished, provisioning
from tests.provisioning.requests import csr, p256
from tests.provisioning.stack_files import with_authorities

PLAN = (
    CEREMONY.replace("lines:\n", "lines:\n  bench-c: { authority: line-c, models: [fl100, fl50] }\n")
    + "  line-c: { common_name: Line C, key: file, lifetime_years: 20, path_length: 0 }\n"
)
DEVICES = 11


class Fleet:
    """Devices of line-a, which are to be line-c's."""

    def __init__(self, home: Path) -> None:
        self.factory = Factory(home)
        held = self.factory.ceremony(PLAN)
        assert held.code == 0, held.err
        self.profiles = home / "ceremony.yaml"
        self.requests = home / "requests"
        self.requests.mkdir()
        self.wave_file = home / "wave.csv"
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        for number in range(DEVICES):
            device = f"device{number:02}"
            self.keys[device] = p256()
            path = home / f"{device}.csr.pem"
            path.write_bytes(csr(self.keys[device]))
            assert (
                self.call(
                    "issue",
                    "--device",
                    device,
                    "--model",
                    "fl100",
                    "--authority",
                    "line-a",
                    "--csr",
                    path,
                    "--out",
                    home / device,
                ).code
                == 0
            )

    def call(self, *words: str | Path) -> Finished:
        where = ("--stack", "dev", "--factory", self.factory.folder, "--json")
        certificates = ("--authorities", self.factory.authorities, "--profiles", self.profiles)
        return provisioning(*words, *where, *(() if words[0] == "retire" else certificates))

    def rotate(self, *more: str | Path) -> Finished:
        return self.call("rotate", "--authority", "line-a", "--to", "line-c", *more)

    def gather(self, *more: str | Path) -> Finished:
        return self.rotate("--batch", self.wave_file, "--requests", self.requests, *more)

    def send_request(self, device: str, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        (self.requests / f"{device}.csr.pem").write_bytes(csr(key or p256()))

    def of_wave(self) -> list[str]:
        return [row["device"] for row in batches.read(self.wave_file)]

    def reissue(self, out: str) -> None:
        """What is told to do next, typed."""
        for told in (
            self.call("retire", self.wave_file, "--reason", "superseded", "--note", "rotation", "--apply"),
            self.call("batch", self.wave_file, "--out", self.factory.home / out),
        ):
            assert told.code == 0, told.err


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    with_authorities(monkeypatch, tmp_path / "stacks", line_c="key: file, common_name: Line C")
    return Fleet(tmp_path)


def test_a_fleet_moves_wave_by_wave_and_a_device_without_a_request_is_waited_for(fleet: Fleet) -> None:
    first = fleet.gather()
    assert first.code == 0, first.err
    assert [(row["wave"], row["devices"]) for row in first.json["waves"]] == [
        ("test", "9"),
        ("canary", "1"),
        ("expansion", "1"),
    ]
    assert (first.json["can_be_reissued"], len(first.json["waiting_for_request"])) == (0, 9)
    assert not fleet.wave_file.exists(), "a file for nobody would only be in the way"
    wave = first.json["waiting_for_request"]
    late = wave[0]
    for device in wave[1:]:
        fleet.send_request(device)
    some = fleet.gather()
    assert (some.json["can_be_reissued"], some.json["waiting_for_request"]) == (8, [late])
    assert {(row["authority"], row["model"]) for row in batches.read(fleet.wave_file)} == {("line-c", "fl100")}
    fleet.reissue("wave-1")

    left = fleet.gather()
    assert (left.json["waves"][0]["wave"], left.json["waves"][0]["devices"]) == ("test", "1"), (
        "the wave stays as it was"
    )
    assert left.json["waiting_for_request"] == [late]
    fleet.send_request(late)
    assert (fleet.gather().code, fleet.of_wave()) == (0, [late])
    fleet.reissue("late")
    for number, name in enumerate(("canary", "expansion")):
        fleet.send_request(fleet.gather().json["waiting_for_request"][0])
        assert fleet.gather("--wave", name).json["can_be_reissued"] == 1
        fleet.reissue(f"rest-{number}")
    done = fleet.rotate()
    assert (done.json["to_reissue"], done.json["standing_under_new"]) == (0, DEVICES)
    assert "nothing that line-a signed stands any more" in done.json["next"]
    audit = fleet.call("audit")
    assert audit.code == 0, audit.out


def test_a_request_that_could_not_be_issued_is_told_before_anybody_is_retired(fleet: Fleet) -> None:
    own, foreign, broken, leaked = fleet.gather().json["waiting_for_request"][:4]
    known = p256()
    fleet.send_request(leaked, known)
    (fleet.factory.home / "leaked.txt").write_text(
        hashlib.sha256(public_key_der(known.public_key())).hexdigest(), encoding="ascii"
    )
    fleet.profiles.write_text(PLAN + "refused_keys: [leaked.txt]\n", encoding="utf-8")
    fleet.send_request(own, fleet.keys[own])
    fleet.send_request(foreign, fleet.keys[broken])
    (fleet.requests / f"{broken}.csr.pem").write_text("no request", encoding="ascii")
    refused = fleet.gather()
    assert refused.code == 2
    for device, reason in (
        (own, "no key is certified twice, and the device has it already; make a new key in the device"),
        (foreign, f"no key is certified twice, and it is device {broken}'s"),
        (broken, "the request is no certificate request in PEM"),
        (leaked, "the key "),
    ):
        assert f"{fleet.requests / device}.csr.pem: {reason}" in refused.err
    assert not fleet.wave_file.exists()


def test_a_wave_keeps_its_devices_while_some_are_retired_and_not_yet_reissued(fleet: Fleet) -> None:
    before = {row["wave"]: row["devices"] for row in fleet.rotate().json["waves"]}
    left = fleet.rotate("--out", fleet.wave_file)
    first = batches.read(fleet.wave_file)[0]
    assert (first["wave"], first["authority"], left.code) == ("test", "line-c", 0)
    with Ledger.open(fleet.factory.folder, "dev") as ledger:
        ledger.retire(DeviceId(first["device"]), Reason.SUPERSEDED, "rotation", at=datetime.now(UTC))
    after = {row["wave"]: row["devices"] for row in fleet.rotate().json["waves"]}
    assert after == {**before, "test": str(int(before["test"]) - 1)}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--wave", "test"), "--wave and --requests go with --batch FILE"),
        (
            ("--batch", "wave.csv", "--wave", "last"),
            "--wave: nobody of 'last' is left; left are test, canary, expansion",
        ),
    ],
)
def test_a_wave_that_is_none_is_refused(more: tuple[str, ...], reason: str, fleet: Fleet) -> None:
    refused = fleet.rotate(*more)
    assert (refused.code, reason in refused.err) == (2, True), refused.err
