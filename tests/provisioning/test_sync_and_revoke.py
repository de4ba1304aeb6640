"""What the clusters are told: manifests, and identities taken back, on the embedded AWS."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.admission import ManifestEntry, Standing
from protocol.device_id import DeviceId
from provisioning.manifest import Manifest, Upload
from provisioning.signed_entry import SignedEntry, read_station_keys
from stacks.outputs import Outputs
from tests.provisioning.connected import UNREACHABLE, Connected
from tests.provisioning.factory import Finished

pytestmark = pytest.mark.cloud


def results(finished: Finished) -> list[tuple[str, str, str, str]]:
    assert finished.code == 0, finished.err
    return [(row["cluster"], row["device"], row["manifest"], row["certificate"]) for row in finished.json["told"]]


def test_a_signed_identity_reaches_every_cluster_and_a_rerun_calls_nothing(connected: Connected) -> None:
    issued = connected.factory.issue("device-a")
    assert issued.code == 0
    assert results(connected.sync()) == [
        ("eu1", "device-a", "uploaded", ""),
        ("us1", "device-a", "uploaded", ""),
    ]
    for cluster in ("eu1", "us1"):
        item = connected.item(cluster, issued.json["fingerprint"])
        assert item is not None
        entry = ManifestEntry.from_item(item)
        certificate, _ = connected.factory.chain("device-a")
        assert (entry.device, entry.model, entry.authority) == ("device-a", "fl50", "line-a")
        assert entry.serial == f"{certificate.serial_number:x}"
        assert entry.not_after == certificate.not_valid_after_utc
        assert entry.standing is Standing.GOOD
    nobody = {**connected.variables, "AWS_ENDPOINT_URL": UNREACHABLE}
    assert results(connected.sync(variables=nobody)) == [], "with no cloud there at all, nothing was left to ask"


def test_a_ledger_that_forgot_finds_its_entries_there(connected: Connected) -> None:
    connected.factory.issue("device-b")
    connected.sync()
    assert results(connected.sync("--again")) == [
        ("eu1", "device-b", "already there", ""),
        ("us1", "device-b", "already there", ""),
    ]


def test_an_entry_revoked_in_the_cloud_is_never_made_good_again(connected: Connected) -> None:
    issued = connected.factory.issue("device-c")
    connected.sync()
    us1 = connected.desk.outputs.clusters["us1"]
    connected.client("dynamodb", us1.region).update_item(
        TableName=us1.manifest_table,
        Key={"fingerprint": {"S": issued.json["fingerprint"]}},
        UpdateExpression="SET standing = :revoked",
        ExpressionAttributeValues={":revoked": {"S": "revoked"}},
    )
    synced = connected.sync("--again")
    assert synced.code == 1
    assert [row["manifest"] for row in synced.json["told"]] == ["already there", "differs"]
    assert "cluster us1, device device-c: the manifest holds something else" in synced.err
    item = connected.item("us1", issued.json["fingerprint"])
    assert item is not None
    assert item["standing"] == "revoked"


def test_revoking_reaches_ledger_manifests_and_registered_certificates_and_a_rerun_is_harmless(
    connected: Connected,
) -> None:
    connected.factory.issue("device-d")
    connected.sync()
    certificate_id = register(connected, "device-d", "eu1")
    assert results(connected.revoke("device-d")) == [
        ("eu1", "device-d", "revoked", "revoked"),
        ("us1", "device-d", "revoked", "never registered"),
    ]
    eu1 = connected.desk.outputs.clusters["eu1"]
    iot = connected.client("iot", eu1.region)
    status = iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]["status"]
    assert status == "REVOKED"
    for cluster in ("eu1", "us1"):
        item = connected.item(cluster, connected.fingerprint("device-d"))
        assert item is not None
        assert item["standing"] == "revoked"
    assert results(connected.revoke("device-d")) == [], "every cluster knows"
    steps = connected.factory.ledger("show", "--device", "device-d").json["steps"]
    assert [(step["step"], step["note"]) for step in steps][-1] == ("revoked", "key-compromise")


def register(connected: Connected, device: str, cluster: str) -> str:
    """What the first connect does: AWS IoT learns the certificate."""
    certificate, _ = connected.factory.chain(device)
    iot = connected.client("iot", connected.desk.outputs.clusters[cluster].region)
    answer = iot.register_certificate_without_ca(
        certificatePem=certificate.public_bytes(Encoding.PEM).decode(), status="ACTIVE"
    )
    assert answer["certificateId"] == connected.fingerprint(device)
    return str(answer["certificateId"])


def test_what_was_revoked_offline_is_told_by_the_next_sync(connected: Connected) -> None:
    connected.factory.issue("device-e")
    connected.sync()
    offline = connected.factory.revoke("device-e", "--note", "found in a skip")
    assert offline.code == 0
    assert offline.json == {"device": "device-e", "ledger": "revoked", "clusters": "not told; the next sync tells them"}
    assert [row[2] for row in results(connected.sync())] == ["revoked", "revoked"]
    assert results(connected.sync()) == []


def test_an_identity_revoked_before_its_first_sync_is_listed_as_revoked(connected: Connected) -> None:
    connected.factory.issue("device-f")
    assert connected.factory.revoke("device-f").code == 0
    assert [row[2] for row in results(connected.sync())] == ["revoked", "revoked"]
    item = connected.item("eu1", connected.fingerprint("device-f"))
    assert item is not None
    assert item["standing"] == "revoked", "a certificate out there stays out, even if someone lists it again"


def test_a_cluster_out_of_reach_does_not_keep_the_others_waiting(connected: Connected, tmp_path: Path) -> None:
    connected.factory.issue("device-g")
    broken = Outputs.model_validate_json(connected.outputs.read_bytes()).model_dump()
    broken["clusters"]["eu1"]["manifest_table"] = "no-such-table"
    path = tmp_path / "broken.outputs.json"
    path.write_text(Outputs.model_validate(broken).model_dump_json())
    synced = connected.sync(outputs=path)
    assert synced.code == 1
    assert [(row["cluster"], row["manifest"]) for row in synced.json["told"]] == [("us1", "uploaded")]
    assert "cluster eu1, device device-g" in synced.err
    assert [row[0] for row in results(connected.sync())] == ["eu1"], "the rest is told when it can be"


def test_outputs_of_another_environment_are_refused(connected: Connected, tmp_path: Path) -> None:
    connected.factory.issue("device-h")
    other = Outputs.model_validate_json(connected.outputs.read_bytes()).model_copy(update={"environment": "production"})
    path = tmp_path / "production.outputs.json"
    path.write_text(other.model_dump_json())
    synced = connected.sync(outputs=path)
    assert synced.code == 2
    assert "is of environment production, not of dev" in synced.err
    assert connected.sync(outputs=tmp_path / "nowhere.json").code == 2


def test_telling_a_manifest_is_idempotent_and_only_ever_stricter(connected: Connected) -> None:
    cluster = connected.desk.outputs.clusters["eu1"]
    manifest = Manifest(connected.client("dynamodb", cluster.region), cluster.manifest_table)
    entry = ManifestEntry.from_item(
        {
            "fingerprint": "ab" * 32,
            "device": "device-i",
            "model": "fl50",
            "authority": "line-a",
            "serial": "1",
            "not_after": datetime(2041, 1, 1, tzinfo=UTC).isoformat(),
            "standing": "good",
        }
    )
    revoked = ManifestEntry.from_item({**entry.to_item(), "standing": "revoked"})
    told = [manifest.tell([SignedEntry(entry=each)]) for each in (entry, entry, revoked, revoked, entry)]
    assert told == [
        [Upload.UPLOADED],
        [Upload.ALREADY_THERE],
        [Upload.REVOKED],
        [Upload.REVOKED],
        [Upload.DIFFERS],
    ]


def test_a_hundred_at_a_time_each_takes_its_own_answer(connected: Connected) -> None:
    cluster = connected.desk.outputs.clusters["eu1"]
    manifest = Manifest(connected.client("dynamodb", cluster.region), cluster.manifest_table)

    def row(number: int, standing: Standing = Standing.GOOD) -> SignedEntry:
        return SignedEntry(
            entry=ManifestEntry(
                fingerprint=f"{number:064x}",
                device=DeviceId(f"page-{number}"),
                model="fl50",
                authority="line-a",
                serial=f"{number:x}",
                not_after=datetime(2041, 1, 1, tzinfo=UTC),
                standing=standing,
            )
        )

    manifest.tell([row(3), row(7, Standing.REVOKED)])
    told = manifest.tell([row(number) for number in range(100)])
    assert told[3] is Upload.ALREADY_THERE
    assert told[7] is Upload.DIFFERS, "a revoked one stays revoked, and keeps no other from being told"
    assert set(told[:3] + told[4:7] + told[8:]) == {Upload.UPLOADED}
    assert len(manifest.read([row(number).entry.fingerprint for number in range(100)])) == 100


def test_every_entry_is_signed_by_the_station_and_a_changed_one_shows(connected: Connected) -> None:
    issued = connected.factory.issue("device-j")
    connected.sync()
    item = connected.item("eu1", issued.json["fingerprint"])
    assert item is not None
    keys = read_station_keys((connected.factory.folder / "station.pub.pem",))
    assert SignedEntry.from_item(item).is_vouched_for(keys)
    for field, value in (("device", "device-x"), ("standing", "revoked"), ("not_after", "2099-01-01T00:00:00+00:00")):
        assert not SignedEntry.from_item({**item, field: value}).is_vouched_for(keys), field
    assert not SignedEntry.from_item(item).is_vouched_for({}), "nobody is trusted who is not named"
    assert stat.S_IMODE((connected.factory.folder / "station.key.pem").stat().st_mode) == 0o600
