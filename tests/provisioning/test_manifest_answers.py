"""A manifest's answers, good and bad: nothing is believed that was not said, and nothing is told twice for nothing."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from protocol.admission import ManifestEntry, Standing
from protocol.device_id import DeviceId
from provisioning.errors import CloudError
from provisioning.ledger.ledger import Ledger
from provisioning.manifest import ATTEMPTS, MAX_DEVICES, Manifest, Upload
from provisioning.second_identity import others_good
from provisioning.signed_entry import SignedEntry
from tests.provisioning.factory import Factory
from tests.provisioning.many import issue_many

EXCEPTIONS: Any = boto3.client("dynamodb", region_name="eu-west-1").exceptions


def row(number: int, standing: Standing = Standing.GOOD) -> SignedEntry:
    return SignedEntry(
        entry=ManifestEntry(
            fingerprint=f"{number:064x}",
            device=DeviceId(f"device-{number}"),
            model="fl50",
            authority="line-a",
            serial="1",
            not_after=datetime(2041, 1, 1, tzinfo=UTC),
            standing=standing,
        )
    )


def cancelled(*codes: str) -> ClientError:
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": ""},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    error: ClientError = EXCEPTIONS.TransactionCanceledException(response, "TransactWriteItems")
    return error


class Table:
    """Answers each call with what it was given, in order, and counts."""

    def __init__(self, writes: list[Any], reads: list[Any] | None = None) -> None:
        self.exceptions = EXCEPTIONS
        self._writes, self._reads = iter(writes), iter(reads or [])
        self.written: list[int] = []
        self.asked: list[tuple[int, str | None]] = []

    def execute_statement(self, **order: Any) -> Any:
        self.asked.append((len(order["Parameters"]), order.get("NextToken")))
        return answer(next(self._reads))

    def transact_write_items(self, TransactItems: list[Any]) -> Any:  # noqa: N803  # AWS's name
        self.written.append(len(TransactItems))
        return answer(next(self._writes))

    def batch_get_item(self, **_: Any) -> Any:
        return answer(next(self._reads))

    def get_paginator(self, _name: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Any:
        return (answer(each) for each in self._reads)


def answer(given: Any) -> Any:
    if isinstance(given, Exception):
        raise given
    return given


def manifest(table: Any) -> Manifest:
    return Manifest(table, "manifest")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)


def test_others_in_the_way_are_waited_for() -> None:
    table = Table([cancelled("TransactionConflict", "None"), cancelled("None", "ThrottlingError"), {}])
    assert manifest(table).tell([row(1), row(2)]) == [Upload.UPLOADED] * 2
    assert table.written == [2, 2, 2]


def test_patience_ends() -> None:
    table = Table([cancelled("TransactionConflict")] * ATTEMPTS)
    with pytest.raises(ClientError):
        manifest(table).tell([row(1)])
    assert len(table.written) == ATTEMPTS


def test_a_lost_answer_is_found_out_by_the_rerun() -> None:
    there = {"Responses": {"manifest": [{name: {"S": value} for name, value in row(1).to_item().items()}]}}
    lost = Table([ReadTimeoutError(endpoint_url="x")])
    with pytest.raises(ReadTimeoutError):
        manifest(lost).tell([row(1)])
    rerun = Table([cancelled("ConditionalCheckFailed", "None"), {}], [there])
    told = manifest(rerun).tell([row(1), row(2)])
    assert told == [Upload.ALREADY_THERE, Upload.UPLOADED]
    assert rerun.written == [2, 1], "only what is not there is written"


def test_what_is_there_otherwise_differs() -> None:
    other = {name: {"S": value} for name, value in row(1).to_item().items()} | {"model": {"S": "fl100"}}
    table = Table([cancelled("ConditionalCheckFailed")], [{"Responses": {"manifest": [other]}}])
    assert manifest(table).tell([row(1)]) == [Upload.DIFFERS]


def test_an_answer_without_items_is_no_empty_table() -> None:
    table = Table([cancelled("ConditionalCheckFailed")], [{}])
    with pytest.raises(CloudError, match="holds no items"):
        manifest(table).tell([row(1)])
    with pytest.raises(CloudError, match="holds no items"):
        list(manifest(Table([], [{"Items": []}, {}])).scan())


def test_reads_that_are_put_off_are_asked_for_again() -> None:
    item = {name: {"S": value} for name, value in row(1).to_item().items()}
    later = {"Responses": {"manifest": []}, "UnprocessedKeys": {"manifest": {"Keys": [{"fingerprint": {"S": "x"}}]}}}
    table = Table([cancelled("ConditionalCheckFailed")], [later, {"Responses": {"manifest": [item]}}])
    assert manifest(table).tell([row(1)]) == [Upload.ALREADY_THERE]


def items(*rows: SignedEntry) -> list[dict[str, dict[str, str]]]:
    return [{name: {"S": value} for name, value in each.to_item().items()} for each in rows]


def test_devices_are_looked_for_fifty_at_a_time_and_to_the_last_page() -> None:
    table = Table([], [{"Items": items(row(1)), "NextToken": "more"}, {"Items": []}, {"Items": items(row(2))}])
    found = manifest(table).of_devices([DeviceId(f"device-{number}") for number in range(MAX_DEVICES + 1)])
    assert [item["device"] for item in found] == ["device-1", "device-2"]
    assert table.asked == [(MAX_DEVICES, None), (MAX_DEVICES, "more"), (1, None)]
    with pytest.raises(CloudError, match="holds no items"):
        list(manifest(Table([], [{}])).of_devices([DeviceId("device-1")]))


@pytest.mark.parametrize(
    ("indexed", "there", "stands"),
    [
        ([row(1)], [row(1)], True),
        ([row(1)], [row(1, Standing.REVOKED)], False),
        ([row(1)], [], False),
        ([row(1, Standing.REVOKED)], None, False),
        ([], None, False),
    ],
    ids=["good", "ended since the index saw it", "deleted since", "ended", "none"],
)
def test_another_identity_is_in_the_way_only_while_the_table_itself_says_that_it_is_good(
    indexed: list[SignedEntry], there: list[SignedEntry] | None, factory: Factory, *, stands: bool
) -> None:
    (second,) = issue_many(factory, 1, "device")
    of_device = [replace(each, entry=replace(each.entry, device=second.device)) for each in indexed]
    now_there = [replace(each, entry=replace(each.entry, device=second.device)) for each in there or []]
    answers = [{"Items": items(*of_device)}] + [{"Responses": {"manifest": items(*now_there)}}] * (there is not None)
    with Ledger.open(factory.folder, "dev") as ledger:
        found = others_good([second], manifest(Table([], answers)), ledger, now=datetime(2040, 1, 1, tzinfo=UTC))
        assert set(found) == ({second.device} if stands else set())
        late = manifest(Table([], answers))
        assert others_good([second], late, ledger, now=datetime(2041, 1, 1, tzinfo=UTC)) == {}, "it has expired"
