"""Ten thousand routes on the embedded cloud, through the command line, by a process that is killed fifty times."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.plan import Change
from fleet.routing.plan_file import Plan, read_plan
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Kind, Route, State
from fleet.routing.route53_zone import Route53Zone
from fleet.routing.route_item import read_route
from fleet.routing.route_table import MAX_WRITES, PlanProgress
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import Create
from local.aws_environment import aws_environment
from local.deployment import Deployment
from local.program import PROJECT_ROOT
from protocol.admission import ManifestEntry, Standing
from protocol.device_id import DeviceId
from tests.e2e.world import World, world
from tests.fleet.forked_cli import start
from tests.fleet.killing_proxy import KillingProxy, killing_proxy

pytestmark = pytest.mark.cloud

DEVICES = 10_000
FORMERLY_ROUTED = 2_000
"""Devices with a route of their own before: a half of them moves, a half goes back to the default."""
KILLS = 50
LARGEST_BATCH = 250
MOST_WRITES = 16
"""A run is killed at one of its first so many writes; the whole plan takes about 600, so every kill falls into it."""
MAX_PUTS = 25
"""Items in one BatchWriteItem (DynamoDB quota)."""
EU1, US1 = Target(cluster="eu1"), Target(cluster="us1")


@dataclass(frozen=True)
class Fleet:
    deployment: Deployment
    proxy: KillingProxy
    plan: Plan
    changes: tuple[Change, ...]
    zone_before: frozenset[RecordSet]

    @property
    def outputs(self) -> Path:
        return self.deployment.home / "outputs.json"

    def client(self, service: str) -> Any:
        return _client(self.deployment, service)

    @property
    def table(self) -> DynamoRouteTable:
        return DynamoRouteTable(self.client("dynamodb"), self.deployment.outputs.routing.route_table)

    def zone(self) -> frozenset[RecordSet]:
        zone, found = Route53Zone(self.client("route53"), self.deployment.outputs.zone_id), set[RecordSet]()
        name: str | None = self.deployment.outputs.domain
        kind: str | None = None
        while name is not None:
            page = zone.page(name, kind)
            found |= set(page.record_sets)
            name, kind = page.next_name, page.next_type
        return frozenset(found)

    def histories(self) -> dict[str, list[Route]]:
        """Every revision of every device, in one pass over the table, which a query a device would make slow."""
        pages = self.client("dynamodb").get_paginator("scan")
        found = defaultdict(list)
        for page in pages.paginate(TableName=self.deployment.outputs.routing.route_table, ConsistentRead=True):
            for item in page["Items"]:
                if not item["device"]["S"].startswith("#") and item["revision"]["N"] != "0":
                    route = read_route(item)
                    found[route.device].append(route)
        return {device: sorted(routes, key=lambda route: route.revision) for device, routes in found.items()}

    @property
    def variables(self) -> dict[str, str]:
        return dict(aws_environment(self.deployment.record)) | {"AWS_ENDPOINT_URL": self.proxy.address}

    def command(self, verb: str) -> list[str]:
        return [
            *("route", verb, str(self.plan.path), "--largest-batch", str(LARGEST_BATCH), "--no-follow"),
            *("--stack", "dev", "--outputs", str(self.outputs), "--yes", "--json"),
        ]

    def kill_one(self, verb: str, strike_at: int, *, is_after: bool) -> str:
        """Start the command and kill it at that write; which kind of write it was."""
        self.proxy.arm(strike_at, is_after=is_after)
        told = self.plan.path.with_name("told")
        process = start(self.command(verb), self.variables, told)
        self.proxy.may_kill(process.pid)
        process.join()
        assert self.proxy.has_struck, f"it came to its end before it was killed: {told.read_text()}"
        assert process.exitcode == -signal.SIGKILL
        process.close()
        return self.proxy.writes[-1]

    def run(self, verb: str) -> Any:
        """What a run that nobody kills tells."""
        self.proxy.arm(0, is_after=False)
        command = [sys.executable, "-m", "fleet", *self.command(verb)]
        environment = os.environ | self.variables
        done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def is_clean(self) -> bool:
        """Whether `route check` finds nothing in the whole zone."""
        command = [sys.executable, "-m", "fleet", "route", "check", "--stack", "dev", "--outputs", str(self.outputs)]
        environment = os.environ | dict(aws_environment(self.deployment.record))
        done = subprocess.run(
            [*command, "--no-resolver", "--json"],
            cwd=PROJECT_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stderr
        return bool(json.loads(done.stdout)["clean"])


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A deployment of its own: ten thousand devices and their records would slow down whoever shares it."""
    with world("dev", tmp_path_factory.mktemp("killed") / "desk") as running:
        deployment = running.deployment
        _list_devices(running)
        with killing_proxy(aws_environment(deployment.record)["AWS_ENDPOINT_URL"]) as proxy:
            yield _fleet(deployment, proxy, tmp_path_factory.mktemp("plans"))


def _list_devices(running: World) -> None:
    """Both clusters' manifests name every device, as `provisioning sync` would have it."""
    for cluster, outputs in running.deployment.outputs.clusters.items():
        dynamodb = running.client("dynamodb", cluster)
        for first in range(0, DEVICES, MAX_PUTS):
            entries = map(_entry, range(first, min(first + MAX_PUTS, DEVICES)))
            items = [{name: {"S": text} for name, text in entry.to_item().items()} for entry in entries]
            puts = [{"PutRequest": {"Item": item}} for item in items]
            dynamodb.batch_write_item(RequestItems={outputs.manifest_table: puts})


def _entry(number: int) -> ManifestEntry:
    return ManifestEntry(
        fingerprint=hashlib.sha256(_device(number).encode()).hexdigest(),
        device=_device(number),
        model="fl100",
        authority="line-a",
        serial=f"{number + 1:x}",
        not_after=datetime(2099, 1, 1, tzinfo=UTC),
        standing=Standing.GOOD,
    )


def _device(number: int) -> DeviceId:
    return DeviceId(f"killed-{number:05d}")


def _fleet(deployment: Deployment, proxy: KillingProxy, folder: Path) -> Fleet:
    outputs = deployment.outputs
    table = DynamoRouteTable(_client(deployment, "dynamodb"), outputs.routing.route_table)
    former = [_former(_device(number)) for number in range(FORMERLY_ROUTED)]
    for first in range(0, len(former), MAX_WRITES):
        table.write(former[first : first + MAX_WRITES])
    zone = Route53Zone(_client(deployment, "route53"), outputs.zone_id)
    records = [found for each in former if (found := project(each.device, each.target, outputs.domain))]
    for first in range(0, len(records), 1_000):
        zone.change([Create(each) for each in records[first : first + 1_000]])
    plan = _plan(deployment, folder)
    fleet = Fleet(deployment, proxy, plan, tuple(plan.changes()), frozenset())
    return replace(fleet, zone_before=fleet.zone())


def _plan(deployment: Deployment, folder: Path) -> Plan:
    """What `route plan` makes of ten thousand rows."""
    wanted, path = folder / "moves.csv", folder / "ten-thousand.plan"
    rows = [f"{_device(number)},{_target(number)}" for number in range(DEVICES)]
    wanted.write_text("\n".join(["device,target", *rows]) + "\n", encoding="utf-8")
    command = [
        *(sys.executable, "-m", "fleet", "route", "plan", str(wanted), "--out", str(path), "--stack", "dev"),
        *("--outputs", str(deployment.home / "outputs.json"), "--owner", "operations", "--reason", "a test"),
        *("--approved-by", "a test", "--yes-really", str(DEVICES), "--json"),
    ]
    environment = os.environ | dict(aws_environment(deployment.record))
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    plan = read_plan(path)
    assert plan.count == DEVICES
    return plan


def _target(number: int) -> Target:
    if number >= FORMERLY_ROUTED:
        return (EU1, US1)[number % 5 == 0]
    return (DEFAULT, US1)[number % 2]


def _former(device: DeviceId) -> Route:
    return Route(
        device=device,
        revision=1,
        target=EU1,
        kind=Kind.MOVE,
        owner="former",
        reason="as it was",
        expires=None,
        returns_to=DEFAULT,
        state=State.SETTLED,
        changed_by="somebody",
        changed_at=datetime(2026, 5, 4, tzinfo=UTC),
        plan="f" * 64,
    )


def _client(deployment: Deployment, service: str) -> Any:
    variables = aws_environment(deployment.record)
    return boto3.client(  # type: ignore[call-overload]  # the service is a variable here
        service,
        region_name=deployment.outputs.home_region,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.mark.timeout(900)
def test_ten_thousand_routes_are_planned_applied_through_fifty_kills_checked_and_taken_back(fleet: Fleet) -> None:
    chance = random.Random(50)  # noqa: S311 - a seed to repeat, not a secret
    died_at = Counter[str]()
    for _ in range(KILLS):
        died_at[fleet.kill_one("apply", chance.randint(1, MOST_WRITES), is_after=chance.random() < 0.5)] += 1
    assert died_at.keys() >= {"PutItem", "TransactWriteItems", "ChangeResourceRecordSets"}, (
        f"kills fell on every kind of write: {died_at}"
    )
    assert fleet.run("apply")["result"] == "carried out"
    _is_exactly_the_plan(fleet)
    assert fleet.is_clean(), "table, pins and zone agree on ten thousand names"

    again = fleet.run("apply")
    assert "before" in again["result"]
    assert fleet.proxy.writes == [], "of a plan that is done, nothing is written again"

    for strike_at in (3, 40):
        fleet.kill_one("rollback", strike_at, is_after=True)
    fleet.run("rollback")
    assert fleet.zone() == fleet.zone_before, "to the byte"
    histories = fleet.histories()
    for each in fleet.changes:
        routes = histories[each.device]
        assert [route.revision for route in routes] == list(range(1, each.revision + 2)), "a rollback is history, too"
        assert routes[-1].target == each.before
    assert fleet.is_clean()


def _is_exactly_the_plan(fleet: Fleet) -> None:
    removed = {records for each in fleet.changes for records in each.removes}
    created = {records for each in fleet.changes for records in each.creates}
    assert fleet.zone() == fleet.zone_before - removed | created
    histories = fleet.histories()
    standing = fleet.table.read(each.device for each in fleet.changes)
    for each in fleet.changes:
        routes = histories[each.device]
        assert [route.revision for route in routes] == list(range(1, each.revision + 1)), "each change is there once"
        assert (routes[-1].target, routes[-1].plan) == (each.after, fleet.plan.digest)
        assert routes[-1] == standing[each.device]
        assert routes[-1].state is State.POINTED
    entry = fleet.table.read_plan(fleet.plan.digest)
    assert entry is not None
    assert entry.progress is PlanProgress.DONE
