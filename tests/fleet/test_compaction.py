"""A day written anew: nothing lost, nothing twice, whatever is killed meanwhile."""

from collections.abc import Callable
from datetime import date
from io import BytesIO
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from fleet.errors import RefusedError, UnfinishedError
from fleet.lake import compaction
from fleet.lake.compaction import PEAK_BYTES_A_READING, Compacted, compact
from fleet.lake.fold import fold
from fleet.lake.reading import lake_keys, read_files
from tests.fleet.lake_table import line, table

DAY = date(2026, 11, 22)
PREFIX = "measurements/day=2026-11-22"


class Killed(BaseException):
    """The process is gone."""


class Bucket:
    """A bucket in memory that can end the process before any write."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.writes = 0
        self.dies_at: int | None = None
        self.keeps: str | None = None

    def get_paginator(self, _name: str) -> "Bucket":
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        found = sorted(key for key in self.objects if key.startswith(request["Prefix"]))
        return [{"Contents": [{"Key": key, "Size": len(self.objects[key])}]} for key in found] + [{}]

    def get_object(self, **request: Any) -> dict[str, Any]:
        return {"Body": BytesIO(self.objects[request["Key"]])}

    def put_object(self, **request: Any) -> None:
        self._may_die()
        assert request["IfNoneMatch"] == "*"
        if request["Key"] in self.objects:
            answer: Any = {"Error": {"Code": "PreconditionFailed"}, "ResponseMetadata": {"HTTPStatusCode": 412}}
            raise ClientError(answer, "PutObject")
        self.objects[request["Key"]] = request["Body"]

    def delete_objects(self, **request: Any) -> dict[str, Any]:
        for each in request["Delete"]["Objects"]:
            self._may_die()
            if each["Key"] == self.keeps:
                return {"Errors": [{"Key": self.keeps, "Message": "Access Denied"}]}
            self.objects.pop(each["Key"], None)
        return {}

    def _may_die(self) -> None:
        self.writes += 1
        if self.writes == self.dies_at:
            raise Killed

    def put(self, key: str, *lines: dict[str, Any]) -> None:
        content = BytesIO()
        pq.write_table(table(*lines), content)
        self.objects[key] = content.getvalue()

    def compact(self, *, dry_run: bool = False) -> Compacted:
        return compact(cast("Any", self), "lake", DAY, dry_run=dry_run)

    def read(self) -> list[dict[str, Any]]:
        s3 = cast("Any", self)
        rows: list[dict[str, Any]] = fold(read_files(s3, "lake", lake_keys(s3, "lake"))).table.to_pylist()
        return rows


@pytest.fixture
def bucket() -> Bucket:
    """Two models, overlapping batches, one of them under no model; and files that are none of the day's."""
    made = Bucket()
    made.put(f"{PREFIX}/model=fl100/a.parquet", *(line(number) for number in range(20)))
    made.put(f"{PREFIX}/model=fl100/b.parquet", *(line(number) for number in range(10, 40)))
    made.put(f"{PREFIX}/model=unknown/c.parquet", *(line(number) for number in range(5)))
    made.put(f"{PREFIX}/model=fl50/d.parquet", *(line(number, device="device2") for number in range(3)))
    made.put("measurements/day=2026-11-23/model=fl50/e.parquet", line(1, device="device3"))
    made.objects[f"{PREFIX}/model=fl50/notes.txt"] = b"somebody's own"
    return made


def test_copies_go_and_every_model_becomes_one_file(bucket: Bucket) -> None:
    before = bucket.read()
    done = bucket.compact()
    assert (done.files_before, done.files_after, done.readings) == (4, 2, 43)
    assert (done.duplicates, done.conflicts) == (15, 0)
    assert bucket.read() == before, "who reads sees no difference"
    assert len([key for key in bucket.objects if key.startswith(PREFIX)]) == 3, "two files and somebody's own"
    assert "measurements/day=2026-11-23/model=fl50/e.parquet" in bucket.objects


def test_a_second_run_changes_nothing(bucket: Bucket) -> None:
    bucket.compact()
    before, writes = dict(bucket.objects), bucket.writes
    assert bucket.compact().duplicates == 0
    assert (bucket.objects, bucket.writes) == (before, writes)


def test_a_dry_run_says_the_same_and_changes_nothing(bucket: Bucket) -> None:
    before = dict(bucket.objects)
    said = bucket.compact(dry_run=True)
    assert bucket.objects == before
    assert said == bucket.compact()


@pytest.mark.parametrize("dies_at", range(1, 9))
def test_killed_at_any_write_nothing_is_lost_and_the_next_run_finishes(bucket: Bucket, dies_at: int) -> None:
    before = bucket.read()
    bucket.dies_at = dies_at
    try:
        bucket.compact()
    except Killed:
        assert bucket.read() == before
    bucket.dies_at = None
    bucket.compact()
    assert bucket.read() == before
    assert len([key for key in bucket.objects if "compacted-" in key]) == 2


def test_what_is_written_meanwhile_stays(bucket: Bucket) -> None:
    late = f"{PREFIX}/model=fl100/late.parquet"

    def while_reading(read: Callable[..., Any]) -> Callable[..., Any]:
        def get(**request: Any) -> Any:
            if late not in bucket.objects:
                bucket.put(late, line(99))
            return read(**request)

        return get

    bucket.get_object = while_reading(bucket.get_object)  # type: ignore[method-assign]  # between listing and deleting
    bucket.compact()
    assert late in bucket.objects
    assert any(row["sequence"] == 99 for row in bucket.read())


def test_an_old_file_that_cannot_be_deleted_is_told(bucket: Bucket) -> None:
    bucket.keeps = f"{PREFIX}/model=fl100/b.parquet"
    before = bucket.read()
    with pytest.raises(UnfinishedError, match=r"were not deleted, the first .*b\.parquet: Access Denied"):
        bucket.compact()
    assert bucket.read() == before


def test_a_day_without_files_is_nothing_to_do() -> None:
    assert Bucket().compact().files_after == 0


@pytest.mark.parametrize(("most", "is_refused"), [(57, True), (58, False)])
def test_a_day_of_too_many_readings_for_memory_is_refused_before_anything_is_changed(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, most: int, is_refused: bool
) -> None:
    """Readings, and not bytes: of those a file may hold a hundredth of what it becomes."""
    monkeypatch.setattr(compaction, "MOST_READINGS", most)
    before = dict(bucket.objects)
    if is_refused:
        with pytest.raises(RefusedError, match=r"more than the 57 readings .* into memory, in 4 files"):
            bucket.compact()
    else:
        bucket.compact()
    assert (bucket.objects == before) is is_refused


def test_a_reading_takes_no_more_memory_than_is_counted_on() -> None:
    bucket, readings = Bucket(), 20_000
    for start in range(0, readings, 1_000):
        lines = [line(number, device="station-0123456789") for number in range(start, start + 1_000)]
        bucket.put(f"{PREFIX}/model=fl100/{start}.parquet", *lines)
    former, counted = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(counted)
    try:
        assert bucket.compact().readings == readings
    finally:
        pa.set_memory_pool(former)
    assert readings * 200 < counted.max_memory() < readings * PEAK_BYTES_A_READING
