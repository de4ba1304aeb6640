"""Registration ahead of the first connect, on the embedded AWS and against answers that are no answers."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.cloud import Cloud
from provisioning.errors import CloudError
from provisioning.registry.calls import ATTEMPTS, Calls
from provisioning.registry.quotas import DEFAULT_PER_SECOND
from tests.functions.throwaway_identity import Authority as AnothersAuthority
from tests.provisioning.connected import UNREACHABLE, Connected
from tests.provisioning.many import issue_many

FAST = [part for call in DEFAULT_PER_SECOND for part in ("--rate", f"{call}=5000")]
"""The embedded cloud has no quotas; real ones would only make the tests slow."""


def eager(connected: Connected, *more: str, **named: Any) -> Any:
    return connected.sync(
        *("--eager", "--authorities", str(connected.factory.authorities), *(more or ("--policy-by", "group"))),
        *FAST,
        **named,
    )


def registered(told: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in told.json["told"]:
        if row["certificate"]:
            counts[row["certificate"]] = counts.get(row["certificate"], 0) + 1
    return counts


@pytest.mark.cloud
def test_what_is_registered_ahead_has_thing_group_and_certificate_and_a_rerun_calls_nothing(
    connected: Connected,
) -> None:
    issued = issue_many(connected.factory, 12, "eager")
    done = eager(connected)
    assert done.code == 0, done.err
    assert registered(done) == {"registered": 24}, "in both clusters"
    assert "cluster eu1: 12 to register, at least 0:00:00 at its quotas" in done.err
    eu1 = connected.desk.outputs.clusters["eu1"]
    iot = connected.client("iot", eu1.region)
    group = connected.desk.outputs.device_group_name
    members = iot.list_things_in_thing_group(thingGroupName=group)["things"]
    carried = iot.list_attached_policies(target=iot.describe_thing_group(thingGroupName=group)["thingGroupArn"])
    assert [policy["policyName"] for policy in carried["policies"]] == [connected.desk.outputs.device_policy_name]
    for identity in issued:
        described = iot.describe_certificate(certificateId=identity.fingerprint)["certificateDescription"]
        assert described["status"] == "ACTIVE"
        assert iot.list_principal_things(principal=described["certificateArn"])["things"] == [identity.device]
        thing = iot.describe_thing(thingName=identity.device)
        assert (thing["thingTypeName"], thing["attributes"]["serial"]) == ("fl50", f"{identity.serial:x}")
        assert identity.device in members
    steps = connected.factory.ledger("show", "--device", "eager-0").json["steps"]
    assert [row["note"] for row in steps if row["step"] == "registered"] == ["eu1", "us1"]
    nobody = {**connected.variables, "AWS_ENDPOINT_URL": UNREACHABLE}
    again = eager(connected, variables=nobody)
    assert (again.code, again.json["told"]) == (0, []), again.err


@pytest.mark.cloud
def test_a_ledger_that_forgot_finds_everything_there(connected: Connected, tmp_path: Path) -> None:
    (identity, _) = issue_many(connected.factory, 2, "forgot")
    database = connected.factory.folder / "ledger.db"
    with sqlite3.connect(database) as open_one, sqlite3.connect(tmp_path / "copy.db") as copy:
        open_one.backup(copy)
    assert registered(eager(connected, "--policy-by", "certificate")) == {"registered": 4}
    iot = connected.client("iot", connected.desk.outputs.clusters["eu1"].region)
    arn = iot.describe_certificate(certificateId=identity.fingerprint)["certificateDescription"]["certificateArn"]
    attached = iot.list_attached_policies(target=arn)["policies"]
    assert [each["policyName"] for each in attached] == [connected.desk.outputs.device_policy_name]
    for left in connected.factory.folder.glob("ledger.db*"):
        left.unlink()
    (tmp_path / "copy.db").rename(database)
    assert registered(eager(connected)) == {"already registered": 4}


@pytest.mark.cloud
def test_somebody_elses_thing_a_certificate_taken_out_and_a_second_identity_stay(
    connected: Connected,
) -> None:
    first, second, third = issue_many(connected.factory, 3, "taken")
    iot = connected.client("iot", connected.desk.outputs.clusters["eu1"].region)
    iot.create_thing(thingName=first.device, thingTypeName="fl100")
    iot.register_certificate_without_ca(certificatePem=pem(second), status="INACTIVE")
    anothers = AnothersAuthority().issue(third.device, model="fl50")
    held = iot.register_certificate_without_ca(certificatePem=anothers.pem, status="ACTIVE")
    iot.create_thing(thingName=third.device, thingTypeName="fl50", attributePayload={"attributes": {"model": "fl50"}})
    iot.attach_thing_principal(thingName=third.device, principal=held["certificateArn"])
    done = eager(connected)
    assert done.code == 1
    assert f"cluster eu1, device {first.device}: a thing of that name is of type fl100 there, not fl50" in done.err
    assert f"cluster eu1, device {second.device}: its certificate is INACTIVE there" in done.err
    status = iot.describe_certificate(certificateId=second.fingerprint)["certificateDescription"]["status"]
    assert status == "INACTIVE"
    assert f"cluster eu1, device {third.device}: its thing holds certificate {anothers.fingerprint} there" in done.err
    assert registered(done) == {"registered": 3, "differs": 3}, "us1 takes all"
    iot.update_certificate(certificateId=anothers.fingerprint, newStatus="REVOKED")
    assert registered(eager(connected)) == {"registered": 1, "differs": 2}, "the first has ended"


def pem(identity: Any) -> str:
    return str(identity.certificate.public_bytes(Encoding.PEM).decode())


class Registry:
    """Answers `create_thing` with what it was given, one after the other."""

    def __init__(self, *answers: Any) -> None:
        self._answers: Iterator[Any] = iter(answers)
        self.asked = 0

    def create_thing(self, **_: Any) -> dict[str, Any]:
        self.asked += 1
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


def refused(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "CreateThing")


GOOD = {"thingName": "a", "thingArn": "arn"}


def create(registry: Registry) -> tuple[Calls, Any]:
    waits: list[float] = []
    calls = Calls(registry, {"CreateThing": 100.0}, monotonic=lambda: sum(waits), sleep=waits.append)
    return calls, lambda: calls.call("CreateThing", "thingName", "thingArn", thingName="a")


@pytest.mark.parametrize(
    "passing",
    [
        refused("ThrottlingException"),
        refused("InternalFailureException", 500),
        refused("Whatever", 503),
        ReadTimeoutError(endpoint_url="https://iot"),
        {},
        {"thingName": "a", "thingArn": ""},
    ],
    ids=["throttled", "internal", "unavailable", "lost", "empty", "half an answer"],
)
def test_what_may_pass_is_tried_again(passing: Any) -> None:
    registry = Registry(passing, passing, GOOD)
    calls, call = create(registry)
    assert call() == GOOD
    assert registry.asked == 3
    assert calls.throttled == (2 if str(passing).count("Throttling") else 0)


def test_what_does_not_pass_ends_in_the_clouds_own_words_and_an_empty_answer_is_never_success() -> None:
    registry = Registry(*[{}] * ATTEMPTS)
    with pytest.raises(CloudError, match="CreateThing: the answer lacks thingName, thingArn"):
        create(registry)[1]()
    assert registry.asked == ATTEMPTS
    registry = Registry(refused("UnauthorizedException", 403))
    with pytest.raises(ClientError):
        create(registry)[1]()
    assert registry.asked == 1, "asking again would not help"


def test_the_library_tries_nothing_again_behind_our_back() -> None:
    config: Any = Cloud.from_environment().iot_once("eu-west-1").meta.config
    assert config.retries["total_max_attempts"] == 1
