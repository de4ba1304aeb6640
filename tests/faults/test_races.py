"""Two stations with one ledger race for one device, fifty times."""

from collections.abc import Iterator

import pytest

from tests.faults.bench import Bench
from tests.faults.judge import audited, broken_rules, rows
from tests.faults.warm import Order, WarmStation, soon, warm_station
from tests.provisioning.factory import Factory, Finished
from tests.provisioning.requests import csr, p256

ROUNDS = 50


@pytest.fixture(scope="module")
def second_station() -> Iterator[WarmStation]:
    with warm_station() as station:
        yield station


def raced(stations: list[WarmStation], factory: Factory, orders: list[list[str | object]]) -> list[Finished]:
    """What each did; all begin at the same moment."""
    begin_at = soon()
    running = [
        Order(
            arguments=[str(argument) for argument in order],
            out=factory.home / f"out{number}",
            err=factory.home / f"err{number}",
            begin_at=begin_at,
        )
        for number, order in enumerate(orders)
    ]
    for station, order in zip(stations, running, strict=True):
        station.start(order)
    return [station.finish(order) for station, order in zip(stations, running, strict=True)]


def test_of_two_stations_that_race_for_one_device_one_wins_or_both_give_the_same(
    bench: Bench, station: WarmStation, second_station: WarmStation
) -> None:
    """By turns with two keys, with one request for both, and with a key that both would make in one folder."""
    factory, stations = bench.factory(), [station, second_station]
    devices = [f"racer{number}" for number in range(ROUNDS)]
    winners = set()
    for number, device in enumerate(devices):
        requests = [factory.home / f"{device}-{who}.csr.pem" for who in range(2)]
        for path in requests:
            path.write_bytes(csr(p256()))
        kind = number % 3
        how = [["--csr", requests[0 if kind else who]] if kind < 2 else ["--generate-key"] for who in range(2)]
        orders: list[list[str | object]] = [
            [*factory.order(device, *map(str, how[who])), *(["--out", factory.device(f"{device}-{who}")] * (kind < 2))]
            for who in range(2)
        ]
        results = raced(stations, factory, orders)
        assert broken_rules(factory, results, device=device) == []
        codes = sorted(each.code for each in results)
        if kind:
            assert codes == [0, 0], results
            assert len({each.json["fingerprint"] for each in results}) == 1, "both were handed one certificate"
        else:
            assert codes == [0, 2], "another key than the winner's is refused"
            winners.add([each.code for each in results].index(0))
    assert [row.device for row in rows(factory)][1:] == devices, "one issuance a device"
    assert audited(factory) == []
