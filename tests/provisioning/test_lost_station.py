"""A station is lost, and its ledger with it: one plan closes it everywhere, also for what it never reported."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.deployment import Deployment
from protocol.admission import ManifestEntry, Standing
from protocol.device_id import DeviceId
from provisioning.crl.withdrawn import read_withdrawn
from provisioning.manifest import Manifest
from provisioning.signed_entry import station_voucher
from stacks.outputs import read_outputs
from tests.provisioning.connected import Connected
from tests.provisioning.factory import Factory, Finished, provisioning
from tests.provisioning.stack_files import with_authorities

pytestmark = pytest.mark.cloud

STATION = "lost-1"
TODAY = datetime.now(UTC).date()
PLAN = f"""\
environment: dev
root: {{ common_name: Test Root CA, organization: Test Fleet, key: file, lifetime_years: 30 }}
models:
  fl50: {{ key_made: factory, lifetime_years: 15 }}
lines:
  bench-l: {{ authority: line-l, models: [fl50] }}
authorities:
  line-l: {{ common_name: Line L, key: file, lifetime_years: 20, path_length: 1 }}
stations:
  {STATION}:
    line: bench-l
    common_name: Lost 1
    key: file
    lifetime_years: 17
    lease: {{ begins: {TODAY}, ends: {TODAY + timedelta(days=2)}, certificates: 10 }}
"""
END = datetime(2040, 1, 1, tzinfo=UTC)


class Office:
    """Where the loss is dealt with: a folder with what was reported, and none of the rest."""

    def __init__(self, home: Path, desk: Deployment) -> None:
        self.factory = Factory(home)
        self.connected = connected = Connected(self.factory, desk)
        self.profiles = home / "ceremony.yaml"
        self.plan_file = self.factory.home / "lost.plan"
        self.outputs_file = connected.outputs
        self.outputs = read_outputs(connected.outputs)

    def set_up(self) -> None:
        """The ceremony, and a station with its certificate."""
        held = self.factory.ceremony(PLAN)
        assert held.code == 0, held.err
        request = self.factory.home / "station.csr.pem"
        where = ("--stack", "dev", "--factory", self.factory.folder, "--profiles", self.profiles, "--json")
        asked = provisioning("station", "request", STATION, "--out", request, *where)
        assert asked.code == 0, asked.err
        certified = provisioning(
            "station", "certify", STATION, "--csr", request, "--authorities", self.factory.authorities, *where
        )
        assert certified.code == 0, certified.err

    def issue(self, device: str) -> None:
        issued = self.factory.issue(device, "--generate-key", "--profiles", self.profiles, authority=STATION)
        assert issued.code == 0, issued.err

    @contextmanager
    def registered(self) -> Iterator[dict[str, str]]:
        """The station's certificate, known to every cluster as a deployment makes it; its ids, by cluster."""
        pem = (self.factory.authorities / f"{STATION}.pem").read_text(encoding="ascii")
        ids = {}
        for name, cluster in self.outputs.clusters.items():
            made = self.connected.client("iot", cluster.region).register_ca_certificate(
                caCertificate=pem, setAsActive=True, allowAutoRegistration=True, certificateMode="SNI_ONLY"
            )
            ids[name] = made["certificateId"]
        known = {"key": "file", "ca_certificate_ids": ids}
        self.outputs_file = self.changed("ids.json", "authorities", STATION, known)
        try:
            yield ids
        finally:
            for name, certificate_id in ids.items():
                client = self.connected.client("iot", self.outputs.clusters[name].region)
                client.update_ca_certificate(certificateId=certificate_id, newStatus="INACTIVE")
                client.delete_ca_certificate(certificateId=certificate_id)

    def changed(self, file: str, section: str, name: str, fields: Mapping[str, object]) -> Path:
        """The outputs with some fields changed."""
        document = json.loads(self.outputs_file.read_text(encoding="utf-8"))
        document[section].setdefault(name, {}).update(fields)
        path = self.factory.home / file
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    def tell_unreported(self, device: str, *clusters: str, standing: Standing = Standing.GOOD) -> ManifestEntry:
        """What the station told some clusters before it was lost."""
        entry = ManifestEntry(
            fingerprint=f"{hash(device) & (1 << 128) - 1:064x}",
            device=DeviceId(device),
            model="fl50",
            authority=STATION,
            serial="77",
            not_after=END,
            standing=standing,
        )
        voucher = station_voucher(self.factory.folder)
        for name in clusters:
            cluster = self.outputs.clusters[name]
            manifest = Manifest(self.connected.client("dynamodb", cluster.region), cluster.manifest_table)
            manifest.tell([voucher.vouch(entry)])
        return entry

    def plan(self, *more: str | Path) -> Finished:
        return provisioning(
            *("revocation", "plan", "--authority", STATION, "--stack", "dev", "--factory", self.factory.folder),
            *(
                "--authorities",
                self.factory.authorities,
                "--profiles",
                self.profiles,
                "--reason",
                "key-compromise",
                "--note",
                "stolen at night",
            ),
            *("--out", self.plan_file, "--outputs", self.outputs_file, "--json", *more),
            variables=self.connected.variables,
        )

    def apply(self, outputs: Path | None) -> Finished:
        return provisioning(
            *("revocation", "apply", self.plan_file, "--stack", "dev", "--factory", self.factory.folder, "--json"),
            *(() if outputs is None else ("--outputs", outputs)),
            variables=self.connected.variables,
        )

    def authority(self, cluster: str, certificate_id: str) -> tuple[str, str]:
        client = self.connected.client("iot", self.outputs.clusters[cluster].region)
        told = client.describe_ca_certificate(certificateId=certificate_id)["certificateDescription"]
        return told["status"], told["autoRegistrationStatus"]

    def standing(self, cluster: str, entry: ManifestEntry) -> str:
        item = self.connected.item(cluster, entry.fingerprint)
        assert item is not None
        return item["standing"]


def told(finished: Finished) -> set[tuple[str, ...]]:
    return {
        tuple(row[name] for name in ("cluster", "device", "manifest", "certificate")) for row in finished.json["told"]
    }


@pytest.fixture
def office(tmp_path: Path, dev_desk: Deployment, monkeypatch: pytest.MonkeyPatch) -> Office:
    with_authorities(
        monkeypatch,
        tmp_path / "stacks",
        line_l="key: file, common_name: Line L",
        lost_1="key: file, common_name: Lost 1",
    )
    made = Office(tmp_path, dev_desk)
    made.set_up()
    return made


def test_a_lost_station_is_closed_by_one_plan_with_what_it_never_reported(office: Office) -> None:
    with office.registered() as ids:
        close_it(office, ids)


def close_it(office: Office, ids: dict[str, str]) -> None:
    connected = office.connected
    for device in ("lost-known-1", "lost-known-2"):
        office.issue(device)
    assert connected.sync().code == 0
    everywhere = office.tell_unreported("lost-unreported-1", "eu1", "us1")
    in_one = office.tell_unreported("lost-unreported-2", "us1")
    office.tell_unreported("lost-ended", "us1", standing=Standing.REVOKED)

    shown = office.plan()
    assert shown.code == 0, shown.err
    assert (shown.json["identities"], len(shown.json["devices"])) == (0, 2), "what it signed is listed, not taken back"
    assert {each["device"]: each["clusters"] for each in shown.json["unreported_devices"]} == {
        "lost-unreported-1": "eu1 us1",
        "lost-unreported-2": "us1",
    }
    assert office.authority("eu1", ids["eu1"]) == ("ACTIVE", "ENABLE"), "a plan changes nothing"

    planned = office.plan("--unreported")
    assert (planned.json["identities"], planned.json["deactivated_in"]) == (2, "eu1 us1")
    refused = office.apply(None)
    assert (refused.code, "closes lost-1 in the clusters; give --outputs" in refused.err) == (2, True)
    assert not list(read_withdrawn(connected.factory.folder)), "nothing was done"

    half = office.apply(office.changed("half.json", "clusters", "eu1", {"manifest_table": "nowhere"}))
    assert (half.code, "cluster eu1, devices lost-unreported-1 to lost-unreported-1: " in half.err) == (1, True), (
        half.err
    )
    assert [each.name for each in read_withdrawn(connected.factory.folder)] == [STATION]
    assert told(half) == {
        ("eu1", "", "", "authority deactivated"),
        ("us1", "", "", "authority deactivated"),
        ("us1", "lost-unreported-1", "revoked", "never registered"),
        ("us1", "lost-unreported-2", "revoked", "never registered"),
    }, "one cluster that fails keeps no other waiting"
    done = office.apply(office.outputs_file)
    assert done.code == 0, done.err
    assert told(done) == {
        ("eu1", "", "", "authority was inactive"),
        ("us1", "", "", "authority was inactive"),
        ("eu1", "lost-unreported-1", "revoked", "never registered"),
        ("us1", "lost-unreported-1", "revoked", "never registered"),
        ("us1", "lost-unreported-2", "revoked", "never registered"),
    }
    for cluster, certificate_id in ids.items():
        assert office.authority(cluster, certificate_id) == ("INACTIVE", "DISABLE")
    assert [office.standing(*each) for each in (("eu1", everywhere), ("us1", everywhere), ("us1", in_one))] == [
        "revoked",
        "revoked",
        "revoked",
    ]
    known = connected.item("eu1", connected.fingerprint("lost-known-1"))
    assert known is not None
    assert known["standing"] == "good", "a device of that station has a key of its own and goes on working"

    assert office.plan("--unreported").json["identities"] == 0, "nothing is left to find"


def test_a_station_whose_ledger_is_lost_is_closed_from_a_folder_without_one(office: Office) -> None:
    connected = office.connected
    office.issue("lost-with-it")
    assert connected.sync().code == 0
    (connected.factory.folder / "ledger.db").unlink()
    shown = office.plan("--devices")
    assert "lost-with-it" in {each["device"] for each in shown.json["unreported_devices"]}
    assert not (connected.factory.folder / "ledger.db").exists(), "a plan makes no ledger"
    closed = office.apply(office.outputs_file)
    assert closed.code == 0, closed.err
    item = connected.item("us1", connected.fingerprint("lost-with-it"))
    assert item is not None
    assert item["standing"] == "revoked"
