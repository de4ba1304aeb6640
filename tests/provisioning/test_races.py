"""Several stations with one ledger: at most one identity a device, however they race."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.provisioning.factory import ROOT, Factory
from tests.provisioning.requests import csr, p256

STATIONS = 4


def race(orders: list[list[str | Path]]) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of stations that start at once."""
    command = [sys.executable, "-m", "provisioning"]
    running = [
        subprocess.Popen(
            [*command, *map(str, order)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for order in orders
    ]
    results = []
    for process in running:
        with process:
            out, err = process.communicate()
        results.append((process.returncode, out, err))
    return results


def request(factory: Factory, number: int) -> Path:
    path = factory.home / f"{number}.csr.pem"
    path.write_bytes(csr(p256()))
    return path


@pytest.mark.parametrize("round_number", range(3))
def test_stations_that_race_with_one_request_hand_out_one_certificate(round_number: int, factory: Factory) -> None:
    order = factory.order("device1", "--csr", request(factory, round_number))
    results = race([[*order, "--out", factory.home / f"bundle{station}"] for station in range(STATIONS)])
    assert [(code, err) for code, _, err in results] == [(0, "")] * STATIONS
    chains = {(factory.home / f"bundle{station}" / "device.chain.pem").read_bytes() for station in range(STATIONS)}
    assert len(chains) == 1, "everyone was handed the same bytes"
    assert len(factory.ledger("list").json["issuances"]) == 1


@pytest.mark.parametrize("round_number", range(3))
def test_of_stations_that_race_with_different_keys_one_wins_and_the_others_say_why(
    round_number: int, factory: Factory
) -> None:
    results = race(
        [
            [
                *factory.order("device1", "--csr", request(factory, station)),
                *("--out", factory.home / f"bundle{station}"),
            ]
            for station in range(STATIONS)
        ]
    )
    assert sorted(code for code, _, _ in results) == [0, *[2] * (STATIONS - 1)]
    assert all("has an identity with another key" in err for code, _, err in results if code)
    assert len(factory.ledger("list").json["issuances"]) == 1


def test_stations_that_make_the_key_of_one_device_in_one_folder_agree_on_it(factory: Factory) -> None:
    results = race([factory.order("device1", "--generate-key") for _ in range(STATIONS)])
    assert [(code, err) for code, _, err in results] == [(0, "")] * STATIONS
    assert len({out for _, out, _ in results}) == 1


def test_stations_with_different_devices_do_not_hinder_each_other(factory: Factory) -> None:
    results = race([factory.order(f"device{station}", "--generate-key") for station in range(STATIONS)])
    assert [(code, err) for code, _, err in results] == [(0, "")] * STATIONS
    serials = {row["serial"] for row in factory.ledger("list").json["issuances"]}
    assert len(serials) == STATIONS
