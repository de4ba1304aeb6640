"""The tables of Glue's catalogue say what the ingest function writes: columns, types, and where files lie."""

import re
from datetime import timedelta
from io import BytesIO
from string import Template

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.ingest import ingest
from local.reference import ACCOUNT
from local.registration import Registration
from protocol.measurement import ClockQuality, Row, moment_of_uptime
from protocol.telemetry import encode_batch
from stacks.load import load_environment
from tests.components.programs import STACK_NAMES, Case, Programs
from tests.components.tree import Tree
from tests.functions.lake_cloud import SETTINGS, LakeCloud
from tests.functions.test_ingest import batch, event

TABLE = "aws:glue/catalogTable:CatalogTable"
HIVE = {
    pa.string(): "string",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.timestamp("ms", tz="UTC"): "timestamp",
}
"""Amazon Athena User Guide, "Data types": what reads a Parquet column of that type."""


def tables(programs: Programs, stack: str) -> list[Registration]:
    return Tree.of(programs.planned(Case(stack=stack, has_certificates=False))).of_type(TABLE)


@pytest.fixture(scope="module")
def written() -> dict[str, bytes]:
    """Objects of the lake by key: of two days, of an unknown day, and of a model that nobody knows."""
    cloud = LakeCloud()
    rows = (Row(7, moment_of_uptime(timedelta(minutes=3)), batch().rows[0].readings),)
    for told in (
        event(encode_batch(batch())),
        event(encode_batch(batch(device="device2", clock=ClockQuality.UNKNOWN, rows=rows)), device="device2"),
        event(encode_batch(batch(device="device3")), device="device3", certificate="a stranger"),
    ):
        assert ingest(told, cloud=cloud.cloud(), settings=SETTINGS)["outcome"] == "stored"
    return cloud.objects


def places(table: Registration, key: str) -> dict[str, str] | None:
    """The partitions by which a table finds the folder of this key; None where the table does not reach it."""
    names = [each["name"] for each in table.inputs["partitionKeys"]]
    template = table.inputs["parameters"]["storage.location.template"].replace(ACCOUNT, "000000000000")
    below = template.partition("-lake-000000000000/")[2]
    values = dict(re.findall(r"(\w+)=([^/]+)/", key))
    if Template(below).substitute({name: values[name] for name in names}) != f"{key.rpartition('/')[0]}/":
        return None
    return {name: values[name] for name in names}


def is_projected(table: Registration, partitions: dict[str, str]) -> bool:
    parameters = table.inputs["parameters"]
    if partitions["model"] not in parameters["projection.model.values"].split(","):
        return False
    if "day" not in partitions:
        return True
    first = parameters["projection.day.range"].split(",")[0]
    return re.fullmatch(r"\d{4}-\d\d-\d\d", partitions["day"]) is not None and partitions["day"] >= first


@pytest.mark.parametrize("stack", STACK_NAMES)
def test_each_file_of_the_lake_lies_in_exactly_one_table(
    programs: Programs, stack: str, written: dict[str, bytes]
) -> None:
    of_region: dict[str, list[Registration]] = {}
    for one in tables(programs, stack):
        of_region.setdefault(one.inputs["region"], []).append(one)
    assert len(of_region) == len(load_environment(stack, today=None).clusters)
    assert len({key.split("/")[1] for key in written}) == 3, "two days and the unknown one"
    for region, pair in of_region.items():
        for key in written:
            found = [one for one in pair if (at := places(one, key)) is not None and is_projected(one, at)]
            assert len(found) == 1, f"{region}: {key}"


@pytest.mark.parametrize("stack", STACK_NAMES)
def test_every_table_has_the_columns_of_the_files_in_their_order(
    programs: Programs, stack: str, written: dict[str, bytes]
) -> None:
    for content in written.values():
        schema = pq.read_schema(BytesIO(content))
        columns = [{"name": field.name, "type": HIVE[field.type]} for field in schema]
        for one in tables(programs, stack):
            assert one.inputs["storageDescriptor"]["columns"] == columns


@pytest.mark.parametrize("stack", STACK_NAMES)
def test_every_model_of_the_stack_can_be_asked_for(programs: Programs, stack: str) -> None:
    models = sorted(load_environment(stack, today=None).models)
    for one in tables(programs, stack):
        assert one.inputs["parameters"]["projection.model.values"] == ",".join([*models, "unknown"])
