"""A batch on the embedded AWS compared with its ledger: zero differences, then every kind of vandalism."""

from pathlib import Path

import pytest

from provisioning.ledger.records import Identity
from stacks.outputs import Outputs
from tests.provisioning.connected import UNREACHABLE, Connected
from tests.provisioning.factory import Finished, provisioning
from tests.provisioning.many import issue_many
from tests.provisioning.registry.test_eager import FAST, eager, pem

pytestmark = pytest.mark.cloud
BATCH = 250
"""Several pages of everything; 10,000 were reconciled by hand, see docs/sync-and-reconcile.md."""


def reconcile(connected: Connected, *more: str) -> Finished:
    return provisioning(
        *("reconcile", "--stack", "dev", "--outputs", str(connected.outputs)),
        *("--factory", str(connected.factory.folder), "--authorities", str(connected.factory.authorities)),
        *("--json", *FAST, *more),
        variables=connected.variables,
    )


def of_batch(finished: Finished, issued: list[Identity]) -> list[tuple[str, str, str]]:
    """Cluster, device and difference; other tests share the clusters, and their devices are no business of this."""
    ours = {identity.device for identity in issued}
    rows = finished.json["differences"]
    return [(row["cluster"], row["device"], row["difference"]) for row in rows if row["device"] in ours]


def test_a_batch_that_was_told_has_no_difference(connected: Connected) -> None:
    issued = issue_many(connected.factory, BATCH, "batch")
    before = of_batch(reconcile(connected), issued)
    assert before == [
        (cluster, identity.device, "not in the manifest") for cluster in ("eu1", "us1") for identity in issued
    ]
    assert connected.sync().code == 0
    after = reconcile(connected)
    assert of_batch(after, issued) == []
    assert "cluster eu1: " in after.err
    nobody = {**connected.variables, "AWS_ENDPOINT_URL": UNREACHABLE}
    assert connected.sync(variables=nobody).json == {"told": []}, "a second sync calls nothing"


def test_a_batch_registered_ahead_has_none_either_and_vandalism_is_found_and_mended(connected: Connected) -> None:
    issued = issue_many(connected.factory, 12, "vandal")
    assert eager(connected).code == 0
    assert of_batch(reconcile(connected, "--deep"), issued) == []
    eu1 = connected.desk.outputs.clusters["eu1"]
    iot, table = connected.client("iot", eu1.region), connected.client("dynamodb", eu1.region)

    def item(identity: Identity, **changes: str) -> None:
        held = connected.item("eu1", identity.fingerprint)
        assert held is not None
        table.put_item(
            TableName=eu1.manifest_table, Item={name: {"S": value} for name, value in {**held, **changes}.items()}
        )

    def arn(identity: Identity) -> str:
        return str(
            iot.describe_certificate(certificateId=identity.fingerprint)["certificateDescription"]["certificateArn"]
        )

    table.delete_item(TableName=eu1.manifest_table, Key={"fingerprint": {"S": issued[0].fingerprint}})
    item(issued[1], signature="AAAA")
    item(issued[2], model="fl100")
    assert connected.factory.revoke(issued[3].device).code == 0, "offline, so no cluster was told"
    iot.update_certificate(certificateId=issued[4].fingerprint, newStatus="INACTIVE")
    iot.remove_thing_from_thing_group(
        thingGroupName=connected.desk.outputs.device_group_name, thingName=issued[5].device
    )
    iot.detach_thing_principal(thingName=issued[6].device, principal=arn(issued[6]))
    iot.detach_thing_principal(thingName=issued[7].device, principal=arn(issued[7]))
    iot.delete_thing(thingName=issued[7].device)
    iot.create_thing(
        thingName="vandal-lonely", attributePayload={"attributes": dict.fromkeys(("model", "authority", "serial"), "x")}
    )
    found = reconcile(connected, "--deep")
    assert found.code == 1
    expected = [
        (0, "not in the manifest"),
        (1, "not signed by a station we trust"),
        (2, "the manifest says something else"),
        (3, "ended here, good in the manifest"),
        (3, "ended here, registered there"),
        (4, "good here, taken out there"),
        (5, "registered without its policy"),
        (6, "registered, not attached to its thing"),
        (7, "registered without its thing"),
        (7, "registered without its policy"),
    ]
    in_eu1 = [row for row in of_batch(found, issued) if row[0] == "eu1"]
    assert in_eu1 == [("eu1", issued[number].device, difference) for number, difference in expected]
    lonely = [row for row in found.json["differences"] if row["device"] == "vandal-lonely"]
    assert [row["difference"] for row in lonely] == ["a device's thing, in no ledger we know"]
    mended = reconcile(connected, "--deep", "--repair")
    assert mended.code == 1, "not all of it is ours"
    left = of_batch(reconcile(connected, "--deep"), issued)
    assert left == [
        ("eu1", issued[2].device, "the manifest says something else"),
        ("eu1", issued[4].device, "good here, taken out there"),
    ]
    iot.delete_thing(thingName="vandal-lonely")


def test_what_nobody_issued_is_shown_to_the_operator_and_left_alone(connected: Connected) -> None:
    (lost,) = issue_many(connected.factory, 1, "lost")
    assert connected.sync().code == 0
    other = issue_many(connected.factory, 2, "stranger")
    eu1 = connected.desk.outputs.clusters["eu1"]
    iot, table = connected.client("iot", eu1.region), connected.client("dynamodb", eu1.region)
    for left in connected.factory.folder.glob("ledger.db*"):
        left.unlink()
    mine = issue_many(connected.factory, 1, "mine")
    forged = {**other[0].entry.to_item(), "signature": "AAAA", "signed_by": "somebody"}
    table.put_item(TableName=eu1.manifest_table, Item={name: {"S": value} for name, value in forged.items()})
    iot.register_certificate_without_ca(certificatePem=pem(other[1]), status="ACTIVE")
    assert connected.sync().code == 0
    assert mine
    rows = reconcile(connected, "--repair").json["differences"]
    told = {(row["fingerprint"], row["difference"], row["acts"], row["repair"]) for row in rows}
    assert (lost.fingerprint, "told by this station, and not in its ledger", "station", "left alone") in told
    assert (other[0].fingerprint, "in the manifest, in no ledger we know", "operator", "left alone") in told
    assert (other[1].fingerprint, "registered, in no ledger we know", "operator", "left alone") in told
    assert iot.describe_certificate(certificateId=other[1].fingerprint)["certificateDescription"]["status"] == "ACTIVE"
    table.delete_item(TableName=eu1.manifest_table, Key={"fingerprint": {"S": other[0].fingerprint}})
    iot.update_certificate(certificateId=other[1].fingerprint, newStatus="INACTIVE")
    iot.delete_certificate(certificateId=other[1].fingerprint)


def test_a_cluster_that_cannot_be_read_fails_by_name_and_the_others_are_compared(
    connected: Connected, tmp_path: Path
) -> None:
    issued = issue_many(connected.factory, 1, "unread")
    broken = connected.desk.outputs.model_dump()
    broken["clusters"]["eu1"]["manifest_table"] = "no-such-table"
    path = tmp_path / "broken.outputs.json"
    path.write_text(Outputs.model_validate(broken).model_dump_json())
    done = reconcile(connected, "--outputs", str(path))
    assert done.code == 1
    assert of_batch(done, issued) == [("us1", issued[0].device, "not in the manifest")]
    assert "cluster eu1: " in done.err
    assert "check credentials, rights and network" in done.err
