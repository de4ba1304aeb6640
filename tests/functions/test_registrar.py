import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from functions.registrar import Settings, register
from local.cells import start_cells
from protocol.admission import Standing
from tests.functions.registration_desk import MODEL, SETTINGS, Desk, furnish
from tests.functions.throwaway_identity import NOW

pytestmark = pytest.mark.cloud


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("registrar")
    cells = start_cells(home, [], home_region="eu-north-1", domain="iot.example.com")
    try:
        yield furnish(cells.home, home)
    finally:
        cells.stop()


class CutOffError(Exception):
    """The power went, or the answer never came."""


@dataclass(frozen=True)
class CutOff:
    """A real client whose call `step` fails, before it reaches the cloud or after."""

    client: Any
    step: str
    reaches_the_cloud: bool

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        if name != self.step:
            return method

        def cut_off(**arguments: Any) -> None:
            if self.reaches_the_cloud:
                method(**arguments)
            raise CutOffError(name)

        return cut_off


def test_a_listed_certificate_gets_thing_policy_and_life(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    identity = desk.authority.issue("listed")
    desk.list_in_manifest(identity.entry)
    said = desk.register(desk.knock(identity))
    assert said["outcome"] == "admitted"
    assert desk.status(identity) == "ACTIVE"
    assert desk.things_of(identity) == ["listed"]
    assert desk.policies_of(identity) == [SETTINGS.device_policy]
    thing = desk.client("iot").describe_thing(thingName="listed")
    assert thing["thingTypeName"] == MODEL
    assert thing["attributes"] == {"model": MODEL, "authority": "line-a", "serial": identity.entry.serial}
    logged = json.loads(capsys.readouterr().out)
    assert logged == {"event": "registration", **said}, "one line for the log, and it says what was answered"


def test_an_unlisted_certificate_stays_as_it_is_is_logged_and_counted(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = desk.authority.issue("unlisted")
    said = desk.register(desk.knock(identity))
    assert (said["outcome"], said["reason"]) == ("refused", "not-in-manifest")
    assert desk.status(identity) == "PENDING_ACTIVATION"
    assert desk.things_of(identity) == []
    assert desk.policies_of(identity) == []
    assert json.loads(capsys.readouterr().out)["reason"] == "not-in-manifest"
    by_environment = frozenset({("Environment", "test")})
    assert {by_environment, by_environment | {("Reason", "not-in-manifest")}} <= desk.refusals_counted()


def test_a_revoked_identity_is_refused(desk: Desk) -> None:
    identity = desk.authority.issue("recalled")
    desk.list_in_manifest(replace(identity.entry, standing=Standing.REVOKED))
    assert desk.register(desk.knock(identity))["reason"] == "revoked"
    assert desk.status(identity) == "PENDING_ACTIVATION"


def test_an_identity_of_a_model_that_is_not_deployed_is_refused_before_anything_is_made(desk: Desk) -> None:
    identity = desk.authority.issue("odd-model", model="fl999")
    desk.list_in_manifest(identity.entry)
    assert desk.register(desk.knock(identity))["reason"] == "unknown-model"
    iot = desk.client("iot")
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName="odd-model")


@pytest.mark.parametrize("broken", [{"device": "Not A Device"}, {"not_after": "soon"}, {"standing": "splendid"}])
def test_a_broken_manifest_item_admits_nobody(desk: Desk, broken: dict[str, str]) -> None:
    identity = desk.authority.issue("garbled")
    desk.list_in_manifest(identity.entry, **broken)
    said = desk.register(desk.knock(identity))
    assert said["reason"] == "unreadable-manifest"
    assert identity.fingerprint in said["detail"], "the factory must find the item"
    assert desk.status(identity) == "PENDING_ACTIVATION"


def test_the_same_event_twice_changes_nothing_the_second_time(desk: Desk) -> None:
    identity = desk.authority.issue("twice")
    desk.list_in_manifest(identity.entry)
    event = desk.knock(identity)
    assert [desk.register(event)["outcome"] for _ in range(2)] == ["admitted", "settled"]
    assert desk.things_of(identity) == ["twice"]


@pytest.mark.parametrize("status", ["REVOKED", "INACTIVE"])
def test_a_late_event_does_not_bring_back_a_certificate_that_was_taken_out(desk: Desk, status: str) -> None:
    identity = desk.authority.issue(f"late-{status.lower()}")
    desk.list_in_manifest(identity.entry)
    event = desk.knock(identity)
    desk.register(event)
    desk.client("iot").update_certificate(certificateId=identity.fingerprint, newStatus=status)
    assert desk.register(event)["reason"] == "not-pending"
    assert desk.status(identity) == status


@dataclass(frozen=True)
class RevokedMeanwhile:
    """A real client; the moment it activates a certificate, the factory has just revoked the identity."""

    client: Any
    revoke: Callable[[], None]

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        if name != "update_certificate":
            return method

        def activate(**arguments: Any) -> None:
            if arguments["newStatus"] == "ACTIVE":
                self.revoke()
            method(**arguments)

        return activate


def test_a_revocation_during_the_admission_wins(desk: Desk) -> None:
    identity = desk.authority.issue("meanwhile")
    desk.list_in_manifest(identity.entry)
    event, whole = desk.knock(identity), desk.cloud()
    revoking = RevokedMeanwhile(whole.iot, lambda: desk.list_in_manifest(identity.entry, standing="revoked"))
    assert desk.register(event, replace(whole, iot=cast("Any", revoking)))["reason"] == "revoked"
    assert desk.status(identity) == "REVOKED"


def test_an_event_for_an_active_certificate_that_was_revoked_since_takes_it_back(desk: Desk) -> None:
    identity = desk.authority.issue("since")
    desk.list_in_manifest(identity.entry)
    event = desk.knock(identity)
    desk.register(event)
    desk.list_in_manifest(identity.entry, standing="revoked")
    assert desk.register(event)["reason"] == "revoked"
    assert desk.status(identity) == "REVOKED"


@pytest.mark.parametrize("reaches_the_cloud", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["create_thing", "attach_policy", "attach_thing_principal", "update_certificate"])
def test_an_admission_cut_off_anywhere_is_not_half_alive_and_a_rerun_finishes_it(
    desk: Desk, step: str, *, reaches_the_cloud: bool
) -> None:
    identity = desk.authority.issue(f"cut-{step.replace('_', '-')}-{int(reaches_the_cloud)}")
    desk.list_in_manifest(identity.entry)
    event = desk.knock(identity)
    whole = desk.cloud()
    with pytest.raises(CutOffError, match=step):
        desk.register(event, replace(whole, iot=cast("Any", CutOff(whole.iot, step, reaches_the_cloud))))
    if desk.status(identity) == "ACTIVE":
        assert (step, reaches_the_cloud) == ("update_certificate", True), "activation comes last"
    desk.register(event)
    assert desk.status(identity) == "ACTIVE"
    assert desk.things_of(identity) == [identity.entry.device]
    assert desk.policies_of(identity) == [SETTINGS.device_policy]


def test_an_error_of_aws_is_raised_so_that_lambda_tries_again(desk: Desk) -> None:
    identity = desk.authority.issue("unlucky")
    event = desk.knock(identity)
    missing = Settings(manifest_table="no-such-table", device_policy="device", environment="test")
    cloud = desk.cloud()
    with pytest.raises(cloud.dynamodb.exceptions.ResourceNotFoundException):
        register(event, cloud=cloud, settings=missing, now=NOW)
    assert desk.status(identity) == "PENDING_ACTIVATION"


def test_a_second_identity_waits_until_the_first_is_revoked_and_detached(desk: Desk) -> None:
    first, second = desk.authority.issue("repaired"), desk.authority.issue("repaired")
    for identity in (first, second):
        desk.list_in_manifest(identity.entry)
    desk.register(desk.knock(first))
    event = desk.knock(second)
    said = desk.register(event)
    assert said["reason"] == "second-identity"
    assert first.fingerprint in said["detail"]
    assert (desk.status(first), desk.status(second)) == ("ACTIVE", "PENDING_ACTIVATION")
    desk.list_in_manifest(replace(first.entry, standing=Standing.REVOKED))
    said = desk.register(event)
    assert said["reason"] == "other-certificate"
    assert first.fingerprint in said["detail"]
    desk.client("iot").detach_thing_principal(thingName="repaired", principal=desk.arn(first))
    assert desk.register(event)["outcome"] == "admitted"
    thing = desk.client("iot").describe_thing(thingName="repaired")
    assert thing["attributes"]["serial"] == first.entry.serial, "the thing keeps its first identity"


def test_a_thing_prepared_under_the_devices_name_is_not_joined(desk: Desk) -> None:
    identity = desk.authority.issue("squatted")
    desk.list_in_manifest(identity.entry)
    desk.client("iot").create_thing(thingName="squatted", attributePayload={"attributes": {"model": MODEL}})
    assert desk.register(desk.knock(identity))["reason"] == "thing-conflict"
    assert desk.things_of(identity) == []
