"""`route plan` as a person types it, against the embedded cloud."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from typer.testing import CliRunner

from fleet.cli import app
from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.plan_file import Plan, read_plan
from fleet.routing.route import Route, State
from fleet.routing.route_table import PlanEntry, PlanProgress
from local.aws_environment import aws_environment
from local.deployment import Deployment
from protocol.admission import ManifestEntry, Standing
from protocol.device_id import DeviceId

pytestmark = pytest.mark.cloud

DEVICES = [DeviceId(f"plan-command-{number:02}") for number in range(40)]
DRAINED = [DeviceId(f"plan-drain-{number:02}") for number in range(40)]
"""Of their own: their routes are written, and no other test shall see them."""
ONLY_IN_EU = DeviceId("plan-command-eu-only")
REVOKED = DeviceId("plan-command-revoked")


@dataclass(frozen=True)
class Desk:
    deployment: Deployment
    folder: Path

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        outputs = str(self.deployment.home / "outputs.json")
        command = ["route", "plan", *arguments, "--stack", "dev", "--outputs", outputs, "--out", str(self.path)]
        result = CliRunner().invoke(app, command, env=dict(aws_environment(self.deployment.record)))
        assert result.exit_code == exit_code, result.output
        return result.stdout if exit_code == 0 else result.stderr

    def told(self, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
        return dict(json.loads(self.run(*arguments, "--json", exit_code=exit_code)))

    @property
    def path(self) -> Path:
        return self.folder / "plan"

    @property
    def plan(self) -> Plan:
        return read_plan(self.path)

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)

    @property
    def fleet(self) -> str:
        rows = [f"{device},fl100,US" for device in (*DEVICES, ONLY_IN_EU)]
        return self.file("fleet.csv", "\n".join(["device,model,residency", *rows]) + "\n")

    def write_routes(self) -> None:
        """What applying the plan leaves in the table."""
        table = DynamoRouteTable(client(self.deployment, None), self.deployment.outputs.routing.route_table)
        plan = self.plan
        table.write(
            [
                Route(
                    device=change.device,
                    revision=change.revision,
                    target=change.after,
                    kind=change.kind,
                    owner=change.owner,
                    reason=change.reason,
                    expires=change.expires,
                    returns_to=change.returns_to,
                    state=State.PENDING,
                    changed_by="a test",
                    changed_at=datetime.now(UTC),
                    plan=plan.digest,
                )
                for change in plan.changes()
            ]
        )


def client(deployment: Deployment, cluster: str | None) -> Any:
    variables = aws_environment(deployment.record)
    outputs = deployment.outputs
    return boto3.client(
        "dynamodb",
        region_name=outputs.clusters[cluster].region if cluster else outputs.home_region,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def known(dev_desk: Deployment) -> Deployment:
    """Forty devices that both clusters know, one that only eu1 knows, and one that was revoked."""
    entry = ManifestEntry(
        fingerprint="",
        device=REVOKED,
        model="fl100",
        authority="line-a",
        serial="1",
        not_after=datetime(2040, 1, 1, tzinfo=UTC),
        standing=Standing.REVOKED,
    )
    good = [replace(entry, device=device, standing=Standing.GOOD) for device in (*DEVICES, *DRAINED)]
    for cluster in ("eu1", "us1"):
        more = [entry, replace(entry, device=ONLY_IN_EU, standing=Standing.GOOD)] if cluster == "eu1" else [entry]
        for number, each in enumerate([*good, *more]):
            item = replace(each, fingerprint=f"{number + 7_000:064x}").to_item()
            client(dev_desk, cluster).put_item(
                TableName=dev_desk.outputs.clusters[cluster].manifest_table,
                Item={name: {"S": value} for name, value in item.items()},
            )
    return dev_desk


@pytest.fixture
def desk(known: Deployment, tmp_path: Path) -> Desk:
    return Desk(known, tmp_path)


def test_one_device_is_planned_and_told_with_the_next_command(desk: Desk) -> None:
    told = desk.run("--device", DEVICES[0], "--to", "us1", "--approved-by", "the data officer")
    (change,) = desk.plan.changes()
    assert (change.device, change.revision, str(change.before), str(change.after)) == (DEVICES[0], 1, "default", "us1")
    assert desk.plan.header.approved_by == "the data officer"
    assert desk.plan.header.clusters["us1"] == f"us1.clusters.{desk.deployment.outputs.domain}"
    for part in (desk.plan.digest, f"python -m fleet route apply {desk.path}", "1 to change, 0 stay, 0 refused"):
        assert part in told


def test_a_device_is_not_sent_out_of_its_residency_and_no_plan_is_written(desk: Desk) -> None:
    told = desk.run("--device", DEVICES[0], "--to", "us1", "--strict", exit_code=2)
    assert "residency: it is in EU now, us1 is in US" in told
    assert not desk.path.exists()


def test_a_file_of_moves_is_planned_with_what_is_refused_beside_it(desk: Desk) -> None:
    moves = desk.file("moves.csv", f"device,target\n{DEVICES[1]},us1\n{DEVICES[2]},eu1\n{ONLY_IN_EU},us1\n")
    told = desk.told(moves, "--fleet", desk.fleet)
    assert [change.device for change in desk.plan.changes()] == [DEVICES[1]]
    assert told["moves"] == [{"from": "default", "to": "us1", "devices": 1}]
    assert {each["device"]: each["reason"].split(":")[0] for each in told["refused"]} == {
        ONLY_IN_EU: "admission",
        DEVICES[2]: "residency",
    }
    lines = [json.loads(line) for line in (desk.folder / "plan.refused").read_text().splitlines()]
    assert lines == told["refused"]


def test_a_wrong_file_writes_nothing_and_tells_the_line(desk: Desk) -> None:
    moves = desk.file("moves.csv", f"device,target\n{DEVICES[1]},us1\nnobody,us1\n{REVOKED},us1\n{DEVICES[2]},us9\n")
    assert "moves.csv:5: column target: there is no cluster us9" in desk.run(moves, exit_code=2)
    told = desk.run(desk.file("moves.csv", f"device,target\nnobody,us1\n{REVOKED},us1\n"), exit_code=2)
    assert told.startswith("fleet: moves.csv:2: column device: device nobody is not in the fleet")
    assert f"moves.csv:3: column device: device {REVOKED} is not in the fleet" in told, "revoked: nobody stands by it"
    assert list(desk.folder.glob("plan*")) == []


def test_a_policy_moves_the_fleet_once_it_is_said_how_many(desk: Desk) -> None:
    policy = desk.file("policy.yaml", "residency: {US: us1}\n")
    told = desk.run("--allocate", policy, "--fleet", desk.fleet, exit_code=2)
    assert "the plan changes 40 devices of 41; one plan may change 10" in told
    assert not desk.path.exists()
    assert "--yes-really 39: the plan changes 40" in desk.run(
        "--allocate", policy, "--fleet", desk.fleet, "--yes-really", "39", exit_code=2
    )
    told = desk.run("--allocate", policy, "--fleet", desk.fleet, "--yes-really", "40")
    assert "40 to change, 0 stay, 1 refused" in told
    assert [change.device for change in desk.plan.changes()] == DEVICES


def test_what_stands_already_needs_no_plan(desk: Desk) -> None:
    fleet = desk.file("fleet.csv", "\n".join(["device,residency", *(f"{device},US" for device in DRAINED)]))
    arguments = ("--drain", "eu1", "--percent", "20", "--to", "us1", "--fleet", fleet)
    count = desk.told(*arguments)["changes"]
    assert 0 < count <= 10, "or the rest of this test says nothing; the choice is by hash, so it never varies"
    desk.write_routes()
    told = desk.told(*arguments)
    assert (told["changes"], told["plan"]) == (0, None)
    assert "nothing to change; no plan was written" in desk.run(*arguments)
    assert desk.path.exists(), "the plan that was applied stays where it is, and a rerun is no error"


def test_a_plan_gives_way_to_another_until_somebody_begins_it(desk: Desk) -> None:
    move = ("--to", "us1", "--fleet", desk.fleet)
    desk.run("--device", DEVICES[31], *move)
    desk.run("--device", DEVICES[32], *move)
    digest, written = desk.plan.digest, desk.path.read_bytes()
    assert [change.device for change in desk.plan.changes()] == [DEVICES[32]], "nobody had begun the first"
    deployment = desk.deployment
    DynamoRouteTable(client(deployment, None), deployment.outputs.routing.route_table).write_plan(
        PlanEntry(
            plan=digest,
            progress=PlanProgress.DONE,
            begun_by="ops@desk",
            begun_at=datetime(2026, 11, 24, 8, tzinfo=UTC),
            done_at=datetime(2026, 11, 24, 8, tzinfo=UTC),
            largest_batch=1000,
        )
    )
    told = desk.run("--device", DEVICES[33], *move, exit_code=2)
    assert f"{desk.path} is plan {digest[:12]}, which ops@desk began to apply at 2026-11-24T08:00:00Z" in told
    assert desk.path.read_bytes() == written, "or `route rollback` would take back another plan than was applied"


def test_a_plan_is_not_written_where_something_else_is_or_nothing_can_be(desk: Desk) -> None:
    request = ("--device", DEVICES[31], "--to", "us1", "--fleet", desk.fleet)
    desk.path.write_text("device,target\n")
    assert f"--out: {desk.path} is a file, but no whole plan" in desk.run(*request, exit_code=2)
    assert desk.path.read_text() == "device,target\n"
    desk.path.unlink()
    desk.path.mkdir()
    assert f"--out: {desk.path} is a folder; name a file to write" in desk.run(*request, exit_code=2)
    lost = replace(desk, folder=desk.folder / "nowhere")
    assert f"--out: {lost.folder} is no folder; make it first" in lost.run(*request, exit_code=2)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ((), "exactly one thing"),
        (("--device", "a", "--drain", "eu1"), "exactly one thing"),
        (("--device", "a"), "--device: say where it goes"),
        (("--device", "a", "--to", "us1", "--to", "eu1"), "--device: say where it goes"),
        (("--device", "a", "--to", "us1", "--percent", "5"), "--drain and --percent belong together"),
        (("--drain", "eu1"), "--drain and --percent belong together"),
        (("--drain", "eu1", "--percent", "0"), "above 0 and up to 100"),
        (("--drain", "eu1", "--percent", "nan"), "above 0 and up to 100"),
        (("--drain", "eu9", "--percent", "5"), "there is no cluster 'eu9'"),
        (("--drain", "eu1", "--percent", "5", "--to", "eu1"), "must go elsewhere"),
        (("--device", "Device1", "--to", "us1"), "--device: column device: device id 'Device1' has capitals"),
        (("--device", "a", "--to", "us9"), "--device: column target: there is no cluster us9"),
        (("--device", "a", "--to", "us1", "--expires", "2020-01-01T00:00:00Z"), "is past"),
        (("--device", "a", "--to", "us1", "--expires", "soon"), "is no time"),
        (("--device", "a", "--to", "us1", "--kind", "debug"), "a debug redirect must end"),
        (("--device", DEVICES[0], "--to", "default", "--returns-to", "eu1"), "is given without an expiry"),
        (("no-such.csv",), "cannot be read"),
        (("--allocate", "no-such.yaml"), "cannot be read"),
    ],
)
def test_a_request_that_is_no_request_is_refused(desk: Desk, arguments: tuple[str, ...], rule: str) -> None:
    assert rule in desk.run(*arguments, exit_code=2)
    assert list(desk.folder.iterdir()) == [], "nothing is written"


def test_an_approval_that_nothing_needs_is_refused(desk: Desk) -> None:
    told = desk.run(
        *("--device", DEVICES[30], "--to", "us1", "--fleet", desk.fleet, "--approved-by", "somebody"), exit_code=2
    )
    assert "nothing is sent out of its residency" in told
