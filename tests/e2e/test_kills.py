"""A device that is killed while it delivers: in the end the lake has every reading once, and none is missing."""

import time
from pathlib import Path
from random import Random

import pytest

from local.lake import read_whole_lake
from protocol.device_id import parse_device_id
from tests.device.process import DeviceProcess
from tests.e2e.world import World

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

KILLS = 2
QUICK = ("--rows", "5", "--sample-every", "0.02")
END_SECONDS = 120


def test_a_device_killed_while_it_delivers_leaves_no_gap_and_nothing_twice_in_the_lake(
    dev: World, tmp_path: Path
) -> None:
    device, chance = parse_device_id("mortal1"), Random(11)  # noqa: S311 - repeatable
    folder = dev.make_device(device, "line-a")
    acknowledged: set[tuple[int, int]] = set()
    for number in range(KILLS + 1):
        options = QUICK if number < KILLS else (*QUICK, "--batches", "2")
        process = DeviceProcess(folder, dev.resolver, dev.proxy, tmp_path / f"{number}.told", options)
        try:
            if number < KILLS:
                dev.until(lambda at_work=process: bool(at_work.events("acknowledged")))  # type: ignore[misc]  # bound now
                time.sleep(chance.random() / 2)
            else:
                assert process.running.wait(END_SECONDS) == 0
        finally:
            process.kill()
        acknowledged |= {
            (event["epoch"], sequence)
            for event in process.events("acknowledged")
            for sequence in range(event["first"], event["last"] + 1)
        }
    bucket, s3 = dev.deployment.outputs.clusters["eu1"].lake_bucket, dev.client("s3", "eu1")

    def arrived() -> list[tuple[int, int, str]]:
        rows = read_whole_lake(s3, bucket).table.select(["device", "epoch", "sequence", "channel"]).to_pylist()
        return [(row["epoch"], row["sequence"], row["channel"]) for row in rows if row["device"] == device]

    dev.until(lambda: acknowledged <= {(epoch, sequence) for epoch, sequence, _ in arrived()})
    found = arrived()
    assert len(found) == len(set(found)), "each reading once"
    epochs = {epoch for epoch, _, _ in found}
    assert len(epochs) == KILLS + 1
    for epoch in epochs:
        numbers = {sequence for each, sequence, _ in found if each == epoch}
        assert numbers == set(range(min(numbers), max(numbers) + 1)), "no row is missing between the first and the last"
