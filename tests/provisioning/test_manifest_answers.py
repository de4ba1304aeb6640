"""A manifest's answers, good and bad: nothing is believed that was not said, and nothing is told twice for nothing."""

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from protocol.admission import ManifestEntry, Standing
from protocol.device_id import DeviceId
from provisioning.errors import CloudError
from provisioning.manifest import ATTEMPTS, Manifest, Upload
from provisioning.signed_entry import SignedEntry

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
