"""The shelf of a sweep, as one item of the real table among routes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from fleet.errors import UnfinishedError
from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.ground import Ground
from fleet.routing.plan import PLAN_VERSION, Header
from fleet.routing.plan_text import TextPlan
from fleet.routing.sweep import MAX_SWEPT, sweep_changes
from fleet.routing.sweep_shelf import SHELF_KEY, DynamoSweepShelf
from local.aws_environment import aws_environment
from local.deployment import Deployment
from protocol.device_id import InvalidDeviceIdError, parse_device_id
from tests.fleet.test_sweep import NOW, route

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.cloud

DYNAMODB_ITEM_BYTES = 400 * 1024


@pytest.fixture
def client(dev_desk: Deployment) -> Iterator["DynamoDBClient"]:
    variables = aws_environment(dev_desk.record)
    client = boto3.client(
        "dynamodb",
        region_name=dev_desk.outputs.home_region,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    key = {"device": {"S": SHELF_KEY}, "revision": {"N": "0"}}
    client.delete_item(TableName=dev_desk.outputs.routing.route_table, Key=key)


def plan(*devices: str) -> TextPlan:
    ground = Ground(
        environment="dev", domain="iot-dev.example.com", zone_id="Z1", route_table="r", clusters={}, pins=()
    )
    header = Header(
        version=PLAN_VERSION,
        environment="dev",
        domain="iot-dev.example.com",
        zone_id="Z1",
        route_table="r",
        clusters={},
        made_by="tests",
        made_at=datetime(2026, 11, 24, tzinfo=UTC),
        request="sweep",
        approved_by="",
        undoes="",
    )
    return TextPlan.of(header, sweep_changes([route(device, expires=NOW) for device in devices], ground))


def test_a_plan_on_the_shelf_is_read_back_by_whoever_comes_next(client: "DynamoDBClient", dev_desk: Deployment) -> None:
    table = dev_desk.outputs.routing.route_table
    mine, other = plan("device1", "device2"), plan("device3")
    shelf = DynamoSweepShelf(client, table)
    assert shelf.read() is None
    assert shelf.put(mine)
    assert shelf.put(mine), "the same plan again is harmless"
    assert not shelf.put(other), "one at a time"
    found = DynamoSweepShelf(client, table).read()
    assert found == mine
    assert found is not None
    assert found.digest == mine.digest
    shelf.take_away(other)
    assert shelf.read() == mine, "nobody takes away what is not theirs"
    shelf.take_away(mine)
    shelf.take_away(mine)
    assert shelf.read() is None


def test_what_lies_on_the_shelf_is_no_route(client: "DynamoDBClient", dev_desk: Deployment) -> None:
    name = dev_desk.outputs.routing.route_table
    assert DynamoSweepShelf(client, name).put(plan("device1"))
    table = DynamoRouteTable(client, name)
    assert all(parse_device_id(found.device) for found in table.scan())
    assert not [found for found in table.expired(NOW) if found.device == "device1"]
    with pytest.raises(InvalidDeviceIdError):
        parse_device_id(SHELF_KEY)


def test_what_cannot_be_read_is_said_and_left_for_a_person(client: "DynamoDBClient", dev_desk: Deployment) -> None:
    table = dev_desk.outputs.routing.route_table
    item = {"device": {"S": SHELF_KEY}, "revision": {"N": "0"}, "text": {"S": "no plan"}}
    client.put_item(TableName=table, Item=item)
    with pytest.raises(UnfinishedError, match="#sweep holds no plan"):
        DynamoSweepShelf(client, table).read()


def test_the_largest_sweep_fits_one_item() -> None:
    longest = [f"{'a' * 60}{number:03}" for number in range(MAX_SWEPT)]
    assert len(plan(*longest).text) < DYNAMODB_ITEM_BYTES / 4, "with room for owners and reasons of some kilobytes"
