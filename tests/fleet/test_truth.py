"""Truth on the wire, on the embedded cloud: a vandalised zone is seen through, mended, explained and exported."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from typer.testing import CliRunner

from fleet.cli import app
from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.record_set import project
from fleet.routing.route import Kind, Route, State
from fleet.routing.route_table import PlanEntry, PlanProgress
from fleet.routing.target import DEFAULT, Target
from local.aws_environment import aws_environment
from local.deployment import Deployment
from local.desk import remove_desk
from local.hosted_zone import MAX_AGE_S
from local.up import bring_up
from protocol.device_id import DeviceId
from provisioning.commands.telling import REFUSED
from tests.knot import running_knot

pytestmark = pytest.mark.cloud

NOW = datetime.now(UTC).replace(microsecond=0)
PLAN = PlanEntry(
    plan="f" * 64, progress=PlanProgress.DONE, begun_by="ops", begun_at=NOW, done_at=NOW, largest_batch=1000
)
US, GATEWAY = Target(cluster="us1"), Target(address="192.0.2.77")


class Desk:
    """A deployed environment, its routes written as if a plan had made them, and its commands."""

    def __init__(self, deployment: Deployment) -> None:
        self.outputs = deployment.outputs
        self._resolver = deployment.record.dns
        self._file = deployment.home / "outputs.json"
        self._stack = deployment.stack
        self._variables = dict(aws_environment(deployment.record))

    @property
    def domain(self) -> str:
        return self.outputs.domain

    def client(self, service: Any) -> Any:
        return boto3.client(
            service,
            region_name=self.outputs.home_region,
            endpoint_url=self._variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=self._variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        given = ["--stack", self._stack, "--outputs", str(self._file)]
        done = CliRunner().invoke(app, ["route", *arguments, *given], env=self._variables)
        assert done.exit_code == code, done.output
        return done.stdout if code != REFUSED else done.stderr

    def check(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done: dict[str, Any] = json.loads(self.run("check", "--json", *arguments, code=code))
        return done

    def table(self) -> DynamoRouteTable:
        return DynamoRouteTable(self.client("dynamodb"), self.outputs.routing.route_table)

    def send(self, device: str, target: Target, **changed: Any) -> None:
        """A route and its record, as an applied plan leaves them."""
        table = self.table()
        known = table.read([DeviceId(device)]).get(DeviceId(device))
        route = Route(
            device=DeviceId(device),
            revision=known.revision + 1 if known else 1,
            target=target,
            kind=Kind.MOVE,
            owner="operations",
            reason="closer to its users",
            expires=None,
            returns_to=DEFAULT,
            state=State.PENDING,
            changed_by="ops",
            changed_at=NOW,
            plan=PLAN.plan,
        )
        table.write_plan(PLAN)
        table.write([replace(route, **changed)])
        table.advance(PLAN.plan, [route.device], State.POINTED, at=NOW)
        records = project(route.device, target, self.domain)
        if records is not None:
            self.change("UPSERT", device, records.type, *records.values)

    def change(self, action: str, label: str, kind: str, *values: str, ttl: int = 60) -> None:
        """What anybody with a console can do to the zone."""
        record = {
            "Name": f"{label}.gw.{self.domain}",
            "Type": kind,
            "TTL": ttl,
            "ResourceRecords": [{"Value": value} for value in values],
        }
        self.client("route53").change_resource_record_sets(
            HostedZoneId=self.outputs.zone_id,
            ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]},
        )

    def asked(self) -> str:
        """The desk's DNS server, once it can hold no answer from before now."""
        time.sleep(1.1 * MAX_AGE_S)
        return self._resolver

    def cluster(self, label: str) -> str:
        return f"{label}.clusters.{self.domain}"

    def found(self, checked: dict[str, Any]) -> set[tuple[str, str]]:
        return {(each["rule"], each["device"] or each["name"]) for each in checked["findings"]}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Of its own: other tests leave routes without records, which a repair would mend."""
    home = tmp_path_factory.mktemp("truth") / "desk"
    try:
        yield Desk(bring_up("dev", home))
    finally:
        remove_desk(home)


@contextmanager
def vandalised(desk: Desk) -> Iterator[None]:
    """Five devices of ours, and every way to spoil the zone."""
    for device in ("gone", "changed", "noted"):
        desk.send(device, US)
    desk.send("redirected", GATEWAY, kind=Kind.DEBUG, expires=NOW - timedelta(minutes=1), returns_to=US)
    desk.change("DELETE", "gone", "CNAME", desk.cluster("us1"))
    desk.change("UPSERT", "changed", "CNAME", desk.cluster("eu1"), ttl=3600)
    desk.change("DELETE", "noted", "CNAME", desk.cluster("us1"))
    desk.change("CREATE", "noted", "TXT", '"who wrote this?"')
    desk.change("CREATE", "x.y.shadowed", "TXT", '"below a device"')
    desk.change("CREATE", "stray", "A", "192.0.2.66")
    yield


SPOILED = {
    ("missing", "gone"),
    ("drift", "changed"),
    ("missing", "noted"),
    ("hides", "noted"),
    ("hides", "shadowed"),
    ("orphan", "stray"),
    ("expired", "redirected"),
}


def test_a_vandalised_zone_is_seen_through_and_mended(desk: Desk, tmp_path: Path) -> None:
    assert desk.found(desk.check("--resolver", desk.asked())) == set(), "as deployed, everything agrees"
    with vandalised(desk):
        seen = desk.check("--resolver", desk.asked(), code=1)
        assert desk.found(seen) == SPOILED
        told = desk.run("check", "--no-resolver", code=1)
        assert all(rule in told for rule, _ in SPOILED), told
        assert "--repair" in told

        refused = desk.run("check", "--no-resolver", "--repair", code=2)
        assert "--out" in refused
        assert "is no folder" in desk.run("check", "--repair", "--out", str(tmp_path / "nowhere" / "plan"), code=2)
        plan = tmp_path / "repair.plan"
        assert "--yes" in desk.run("check", "--no-resolver", "--repair", "--out", str(plan), code=2)
        assert desk.found(desk.check("--no-resolver", code=1)) == SPOILED, "nobody said yes, and nothing was changed"

        mended = desk.check("--no-resolver", "--repair", "--out", str(plan), "--yes")
        assert (mended["clean"], mended["repaired"]) == (True, 6)
        assert desk.check("--resolver", desk.asked())["clean"]
        history = desk.table().history(DeviceId("stray"))
        assert [(each.revision, each.reason) for each in history] == [(1, "(repaired: orphan)")]
        assert desk.table().read([DeviceId("redirected")])[DeviceId("redirected")].target == US


def test_what_pulumi_owns_is_told_and_left(desk: Desk, tmp_path: Path) -> None:
    desk.change("UPSERT", "pinned1", "CNAME", desk.cluster("eu1"))
    try:
        left = desk.check("--no-resolver", "--repair", "--out", str(tmp_path / "plan"), "--yes", code=1)
        assert desk.found(left) == {("pinned", "pinned1")}
        assert "pulumi up" in left["findings"][0]["way_out"]
    finally:
        desk.change("UPSERT", "pinned1", "CNAME", desk.cluster("us1"))


@pytest.mark.judge
def test_a_resolver_that_says_another_thing_is_found(
    desk: Desk, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Knot serves an older export of the zone: so does a resolver that has not asked again."""
    out = tmp_path / "zone"
    desk.run("export", "--out", str(out))
    with running_knot(tmp_path_factory.mktemp("knot"), desk.domain) as knot:
        knot.serve(later_serial(out.read_text()))
        address = f"127.0.0.1:{knot.port}"
        assert desk.check("--resolver", address)["clean"], "the export says what the zone says"
        desk.send("moved-since", US)
        seen = desk.check("--resolver", address, code=1)
        assert desk.found(seen) == {("answers differently", "moved-since")}
        assert "TTL" in seen["findings"][0]["way_out"]


def later_serial(text: str) -> str:
    """Route 53's SOA has always the same serial; knot reloads for a later one."""
    return text.replace(" 1 7200 ", " 2 7200 ", 1)


def test_an_export_that_cannot_be_written_is_refused_before_the_zone_is_read(desk: Desk, tmp_path: Path) -> None:
    told = desk.run("export", "--out", str(tmp_path), code=2)
    assert f"--out: {tmp_path} is a folder; name a file to write" in told
    told = desk.run("export", "--out", str(tmp_path / "zone"), "--vantage", "mars-1", code=2)
    assert "--vantage: AWS has no region 'mars-1'; name one such as " in told


def test_two_exports_are_equal_byte_by_byte(desk: Desk, tmp_path: Path) -> None:
    for name in ("one", "two"):
        desk.run("export", "--out", str(tmp_path / name))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert f"\n*.gw.{desk.domain}. 60 IN CNAME default.{desk.domain}.\n" in (tmp_path / "one").read_text()


def show(desk: Desk, device: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(desk.run("show", device, "--resolver", desk.asked(), "--json"))
    return told


def test_a_default_device_follows_the_wildcard_to_its_cluster(desk: Desk) -> None:
    told = show(desk, "never-seen")
    assert set(told["manifests"].values()) == {"does not list it"}, "a slip in an id must not look well"
    assert told["chain"]["next"][0]["name"] == f"*.gw.{desk.domain}"
    assert told["server_names"] == [desk.cluster("eu1")]
    assert (told["zone"], told["verdict"]) == ("nothing", "they agree")
    assert told["resolver"]["A"]["chain"][:3] == [
        f"never-seen.gw.{desk.domain}",
        f"default.{desk.domain}",
        desk.cluster("eu1"),
    ]


def test_a_pinned_device_says_so(desk: Desk) -> None:
    told = show(desk, "desk1")
    assert "pinned to 192.0.2.100 in the stack file" in told["chain"]["why"][0]
    assert told["server_names"] == [f"desk1.gw.{desk.domain}"]
    assert told["verdict"] == "they agree"


def test_a_moved_device_says_who_why_and_where_it_verifies(desk: Desk) -> None:
    desk.send("moved", US)
    told = show(desk, "moved")
    why = " ".join(told["chain"]["why"])
    assert "closer to its users" in why
    assert "changed by ops" in why
    assert told["chain"]["next"][0]["name"] == desk.cluster("us1")
    assert told["chain"]["next"][0]["next"][0]["name"] == desk.outputs.clusters["us1"].data_endpoint
    assert told["server_names"] == [desk.cluster("us1")]
    text = desk.run("show", "moved", "--resolver", desk.asked(), "--history")
    assert f"-> {desk.cluster('us1')}" in text
    assert "revision" in text


def test_a_debugged_device_says_when_it_ends(desk: Desk) -> None:
    end = NOW + timedelta(hours=4)
    desk.send("debugged", GATEWAY, kind=Kind.DEBUG, expires=end, returns_to=US)
    told = show(desk, "debugged")
    assert any(f"expires at {end:%Y-%m-%dT%H:%M:%SZ}, then returns to us1" in why for why in told["chain"]["why"])
    assert told["server_names"] == [f"debugged.gw.{desk.domain}"]
    assert told["resolver"]["A"]["addresses"] == [GATEWAY.address]


def test_a_device_whose_wildcard_is_hidden_says_by_what(desk: Desk) -> None:
    desk.change("CREATE", "hidden", "TXT", '"note"')
    try:
        told = show(desk, "hidden")
        assert 'TXT "note"' in told["hiding"]
        assert "HIDDEN" in told["chain"]["why"][-1]
        assert told["resolver"]["A"]["says"] == "no data"
        assert [each["rule"] for each in told["findings"]] == ["hides"]
    finally:
        desk.change("DELETE", "hidden", "TXT", '"note"')


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "NotADevice"), "lower case"),
        (("show", "d1", "--resolver", "nowhere"), "ADDRESS:PORT"),
        (("check", "--resolver", "127.0.0.1", "--no-resolver"), "contradict"),
    ],
)
def test_bad_input_is_refused_with_a_way_out(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    assert said in desk.run(*arguments, code=2)
