"""A device that delivers while its name is led to another cluster: every row arrives, once, and it ends up there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import RefusedError
from fleet.move import Mover
from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.following import RETURNED, Followed
from fleet.routing.moving import Waits
from fleet.routing.plan import PLAN_VERSION, Change, Header
from fleet.routing.plan_file import Plan, write_plan
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Kind, Route, State
from fleet.routing.route_table import PlanEntry, PlanProgress
from fleet.routing.target import DEFAULT, Target
from local.aws_environment import aws_environment
from local.lake import Measurement, read_lake, sent_measurements
from protocol.admission import MANIFEST_KEY
from protocol.device_id import DeviceId, parse_device_id
from provisioning.cloud import Cloud
from tests.device.working import Working, settings_of, surroundings_for, working
from tests.e2e.world import World

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

LINE = "line-a"
SECOND = timedelta(seconds=1)
WAITS = Waits(settle=2 * SECOND, arrive_within=60 * SECOND, stable=3 * SECOND, presence_lag=SECOND)
"""The field's waits are for resolvers, mobile networks and a late index; here are none of them."""
IMPATIENT = replace(WAITS, arrive_within=6 * SECOND)
US1 = Target(cluster="us1")


@contextmanager
def delivering(dev: World, device: str, **options: Any) -> Iterator[Working]:
    """A device at work: five rows a batch, two batches a second."""
    folder = dev.home / "devices" / device
    events: list[dict[str, Any]] = []
    chosen = {"rows": 5, "sample_every": timedelta(milliseconds=100), "watch_route_every": timedelta(days=1)} | options
    settings = settings_of(folder, proxy=dev.proxy, **chosen)
    surroundings = replace(surroundings_for(settings, dev.resolver), random=lambda: 0.0)
    with working(folder, settings, surroundings, events) as device_at_work:
        dev.until(lambda: len(device_at_work.told("acknowledged")) >= 3)
        yield device_at_work


def finish(dev: World, working: Working) -> None:
    """Deliver three more batches, and stop."""
    go_on(dev, working)
    working.stop()
    assert working.summary, "the agent ends once all it measured is acknowledged"


def go_on(dev: World, working: Working) -> None:
    delivered = working.agent.sender.delivered
    dev.until(lambda: working.agent.sender.delivered >= delivered + 3)


def arrived(dev: World, cluster: str, working: Working) -> tuple[Measurement, ...]:
    """What a cluster's lake holds of this run of the device."""
    bucket = dev.deployment.outputs.clusters[cluster].lake_bucket
    epoch = working.summary["epoch"]
    return read_lake(dev.client("s3", cluster), bucket, device=working.agent.bundle.device, epoch=epoch).measurements


@dataclass
class Desk:
    """An operator's desk: the tools, with the waits of a test."""

    dev: World
    table: DynamoRouteTable
    folder: Path

    def mover(self, waits: Waits) -> Mover:
        return Mover(
            outputs=self.dev.deployment.outputs,
            cloud=Cloud.from_environment(),
            table=self.table,
            clock=lambda: datetime.now(UTC),
            waits=waits,
            look_every=SECOND / 2,
        )

    def plan(self, *devices: str) -> Plan:
        outputs = self.dev.deployment.outputs
        header = Header(
            version=PLAN_VERSION,
            environment=outputs.environment,
            domain=outputs.domain,
            zone_id=outputs.zone_id,
            route_table=outputs.routing.route_table,
            clusters={name: cluster.server_name for name, cluster in outputs.clusters.items()},
            made_by="test",
            made_at=datetime.now(UTC),
            request=f"{', '.join(devices)} to us1",
            approved_by="",
            undoes="",
        )
        changes = [self._change(parse_device_id(device)) for device in sorted(devices)]
        return write_plan(self.folder / f"{devices[0]}.plan", header, changes)

    def apply_zone(self, plan: Plan) -> None:
        """Routes into the table, records into the zone, in the plain way of few devices; once."""
        if self.table.read_plan(plan.digest) is not None:
            return
        now = datetime.now(UTC)
        self.table.write_plan(
            PlanEntry(
                plan=plan.digest,
                progress=PlanProgress.BEGUN,
                begun_by="test",
                begun_at=now,
                done_at=None,
                largest_batch=1000,
            )
        )
        for change in plan.changes():
            self.table.write([_route(change, plan, now)])
            actions = [("DELETE", record) for record in change.removes] + [("CREATE", each) for each in change.creates]
            self.dev.client("route53").change_resource_record_sets(
                HostedZoneId=plan.header.zone_id,
                ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": _aws(it)} for action, it in actions]},
            )
            self.table.advance(plan.digest, [change.device], State.POINTED, at=datetime.now(UTC))

    def follow(self, plan: Plan, waits: Waits = WAITS) -> Followed:
        return self.mover(waits).follow(
            plan, made_by="test", apply_zone=self.apply_zone, on_progress=lambda _progress: None
        )

    def _change(self, device: DeviceId) -> Change:
        created = project(device, US1, self.dev.domain)
        assert created is not None
        return Change(
            device=device,
            revision=1,
            before=DEFAULT,
            after=US1,
            removes=(),
            creates=(created,),
            kind=Kind.MOVE,
            owner="field",
            reason="nearer to its people",
            expires=None,
            returns_to=DEFAULT,
        )


def _route(change: Change, plan: Plan, now: datetime) -> Route:
    return Route(
        device=change.device,
        revision=change.revision,
        target=change.after,
        kind=change.kind,
        owner=change.owner,
        reason=change.reason,
        expires=change.expires,
        returns_to=change.returns_to,
        state=State.PENDING,
        changed_by=plan.header.made_by,
        changed_at=now,
        plan=plan.digest,
    )


def _aws(record: RecordSet) -> dict[str, Any]:
    values = [{"Value": value} for value in record.values]
    return {"Name": record.name, "Type": record.type, "TTL": record.ttl, "ResourceRecords": values}


@pytest.fixture
def desk(dev: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name, value in aws_environment(dev.deployment.record).items():
        monkeypatch.setenv(name, value)
    return Desk(dev, DynamoRouteTable(dev.client("dynamodb"), dev.deployment.outputs.routing.route_table), tmp_path)


def test_a_device_that_is_asked_to_leave_goes_to_its_new_cluster_and_not_a_row_is_lost(dev: World, desk: Desk) -> None:
    device = parse_device_id("mover1")
    dev.make_device(device, LINE)
    plan = desk.plan(device)
    with delivering(dev, device) as at_work:
        desk.mover(WAITS).refuse_unadmitted(plan)
        desk.apply_zone(plan)
        followed = desk.follow(plan)
        assert followed.settled == (device,), followed
        settled_at = datetime.now(UTC)
        finish(dev, at_work)
    dev.until(lambda: len(arrived(dev, "eu1", at_work) + arrived(dev, "us1", at_work)) >= len(sent(at_work)))
    old, new = arrived(dev, "eu1", at_work), arrived(dev, "us1", at_work)
    assert tuple(sorted(old + new)) == sent(at_work), "every row that was sent, each once, in one lake or the other"
    assert old, "it delivered there before"
    assert max(old) < min(new), "and to the new cluster alone after"
    assert [row for row in new if row[1] > settled_at], "it goes on delivering"
    assert any("ADMINISTRATIVE_ACTION" in event["reason"] for event in at_work.told("failed")), "it was asked"
    route = desk.table.read([device])[device]
    assert (route.state, route.revision) == (State.SETTLED, 1)
    assert dev.certificate_status(device, "eu1") == "ACTIVE", "it stays known there: a move back needs no factory"
    assert desk.follow(plan) == followed, "a rerun finds nothing to do"
    assert len(at_work.told("connected")) == 2


def test_a_device_that_watches_its_route_has_gone_before_it_is_asked(dev: World, desk: Desk) -> None:
    device = parse_device_id("mover2")
    dev.make_device(device, LINE)
    plan = desk.plan(device)
    with delivering(dev, device, watch_route_every=SECOND) as at_work:
        desk.apply_zone(plan)
        followed = desk.follow(plan, replace(WAITS, settle=45 * SECOND))
        assert followed.settled == (device,), followed
        finish(dev, at_work)
    assert [event["to"] for event in at_work.told("moved")] == [f"us1.clusters.{dev.domain}"]
    assert not any("ADMINISTRATIVE_ACTION" in event["reason"] for event in at_work.told("failed")), "nobody asked it"
    dev.until(lambda: len(arrived(dev, "eu1", at_work) + arrived(dev, "us1", at_work)) >= len(sent(at_work)))
    assert tuple(sorted(arrived(dev, "eu1", at_work) + arrived(dev, "us1", at_work))) == sent(at_work)


def test_a_device_that_its_target_refuses_is_brought_back_and_goes_on_delivering(dev: World, desk: Desk) -> None:
    device = parse_device_id("mover3")
    dev.make_device(device, LINE)
    plan = desk.plan(device)
    with delivering(dev, device) as at_work:
        desk.mover(WAITS).refuse_unadmitted(plan)
        dev.client("dynamodb", "us1").delete_item(
            TableName=dev.deployment.outputs.clusters["us1"].manifest_table,
            Key={MANIFEST_KEY: {"S": dev.fingerprint(device)}},
        )
        desk.apply_zone(plan)
        followed = desk.follow(plan, IMPATIENT)
        assert list(followed.returned) == [device], followed
        assert "not in us1 within 6 s: it vanished; last connected to eu1" in followed.returned[device]
        go_on(dev, at_work)
        finish(dev, at_work)
    assert dev.route(device) == f"eu1.clusters.{dev.domain}"
    dev.until(lambda: len(arrived(dev, "eu1", at_work)) >= len(sent(at_work)))
    assert arrived(dev, "eu1", at_work) == sent(at_work), "all of it in the cluster it never should have left"
    assert arrived(dev, "us1", at_work) == ()
    first, second = desk.table.history(device)
    assert (first.target, second.target, second.reason) == (US1, DEFAULT, RETURNED + followed.returned[device])
    assert desk.follow(plan, IMPATIENT).returned == followed.returned, "a rerun reports it again, and does nothing"
    assert len(desk.table.history(device)) == 2


def test_a_device_that_its_target_would_refuse_is_found_before_anything_is_changed(dev: World, desk: Desk) -> None:
    device = parse_device_id("mover4")
    dev.issue(device, LINE)
    with pytest.raises(RefusedError, match=r"mover4: us1: its manifest does not list the device"):
        desk.mover(WAITS).refuse_unadmitted(desk.plan(device))
    assert desk.table.read([device]) == {}
    assert dev.route(device) == f"eu1.clusters.{dev.domain}"


def test_a_device_that_was_nowhere_is_counted_and_stays_pointed(dev: World, desk: Desk) -> None:
    device = parse_device_id("mover5")
    dev.make_device(device, LINE)
    plan = desk.plan(device)
    desk.apply_zone(plan)
    assert desk.follow(plan).unseen == (device,)
    assert desk.table.read([device])[device].state is State.POINTED
    with dev.connected(device):
        assert desk.follow(plan).settled == (device,), "it woke up, and a rerun sees it where it belongs"


SHORT_WAITS = ("--settle", "2", "--stable", "3", "--presence-lag", "1", "--look-every", "0.5")


def apply_command(dev: World, plan: Plan, *options: str, succeeds: bool = True) -> str:
    outputs = ("--stack", dev.stack, "--outputs", str(dev.home / "outputs.json"))
    return dev.run("fleet", "route", "apply", str(plan.path), *outputs, *SHORT_WAITS, *options, succeeds=succeeds)


def test_one_command_takes_a_device_from_one_cluster_to_the_other(dev: World, desk: Desk) -> None:
    device = parse_device_id("mover6")
    dev.make_device(device, LINE)
    plan = desk.plan(device)
    with delivering(dev, device) as at_work:
        told = json.loads(apply_command(dev, plan, "--yes", "--json"))
        assert (told["settled"], told["moved_back"], told["unseen"]) == ([device], [], [])
        finish(dev, at_work)
    dev.until(lambda: len(arrived(dev, "eu1", at_work) + arrived(dev, "us1", at_work)) >= len(sent(at_work)))
    old, new = arrived(dev, "eu1", at_work), arrived(dev, "us1", at_work)
    assert tuple(sorted(old + new)) == sent(at_work), "every row that was sent, each once"
    assert max(old) < min(new)
    assert desk.table.read([device])[device].state is State.SETTLED


def test_the_command_fails_and_says_so_when_a_device_had_to_be_moved_back(dev: World, desk: Desk) -> None:
    """A thing of its name that is no device's keeps the registrar from admitting it, and no check sees that before."""
    device = parse_device_id("mover7")
    dev.make_device(device, LINE)
    dev.client("iot", "us1").create_thing(thingName=device)
    plan = desk.plan(device)
    with delivering(dev, device) as at_work:
        apply_command(dev, plan, "--yes", "--arrive-within", "6s", succeeds=False)
        go_on(dev, at_work)
        finish(dev, at_work)
    assert dev.route(device) == f"eu1.clusters.{dev.domain}"
    assert desk.table.history(device)[-1].reason.startswith(f"{RETURNED}not in us1 within 6 s")


def sent(working: Working) -> tuple[Measurement, ...]:
    return sent_measurements(list(working.events))
