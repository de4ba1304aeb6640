"""Stations that sign on their own, with keys in an HSM: set up, held to their lease, believed by independent judges."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import provisioning.stations.certify as certifying
from protocol.device_id import DeviceId
from provisioning.bulk import batch as bulk_batch
from provisioning.bulk import table
from provisioning.bulk.folder import Folder
from provisioning.bulk.rows import Defaults
from provisioning.crl.withdrawn import Withdrawn, withdraw
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile
from provisioning.file_signer import FileSigner
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Intent, Reason
from provisioning.read_factory import parse_factory
from provisioning.refused_keys import RefusedKeys
from provisioning.serve.application import station_api
from provisioning.serve.problem import Who
from provisioning.serve.readiness import Check, checks
from provisioning.station import Station
from provisioning.stations.request import check_request, make_request, station_name
from provisioning.stations.right import issued_by, signing
from stacks.document import read_document
from stacks.load import load_environment
from stacks.outputs import Outputs
from tests.provisioning import batches, weak
from tests.provisioning.connected import Connected
from tests.provisioning.factory import Factory, Finished, provisioning
from tests.provisioning.requests import csr, name, p256
from tests.provisioning.serve.station_here import TOKEN, answer_of
from tests.provisioning.serve.station_server import Answered
from tests.provisioning.stack_files import with_authorities
from tests.provisioning.token import SoftToken

TODAY = datetime.now(UTC).date()
LINT = Path(sys.executable).parent / "lint_pkix_cert"


def plan_text(*, key: str = "pkcs11", **lease: object) -> str:
    """A factory with one line, whose authority may have stations, and one station."""
    told = {"begins": TODAY, "ends": TODAY + timedelta(days=90), "certificates": 3, **lease}
    spelt = ", ".join(f"{key}: {value}" for key, value in told.items())
    return f"""\
environment: dev
root: {{ common_name: Test Root CA, organization: Test Fleet, key: file, lifetime_years: 30 }}
models:
  fl100: {{ lifetime_years: 15 }}
lines:
  bench-s: {{ authority: line-s, models: [fl100] }}
authorities:
  line-s: {{ common_name: Line S, key: file, lifetime_years: 20, path_length: 1, serials: "5a" }}
stations:
  bench-s-1:
    {{ line: bench-s, common_name: Bench S 1, key: {key}, lifetime_years: 17, serials: "5b", lease: {{ {spelt} }} }}
"""


class Bench:
    """Two places with a folder each: where the line's authority is, and the station with its HSM."""

    def __init__(self, home: Path, token: SoftToken) -> None:
        self.home = home
        self.authorities = home / "authorities"
        self.office = Factory(home / "office")
        self.station = home / "station"
        for folder in (self.office.home, self.station):
            folder.mkdir(parents=True)
        token.describe(self.station)
        self.plan()

    def plan(self, key: str = "pkcs11", /, **lease: object) -> None:
        self.file = self.home / "factory.yaml"
        self.file.write_text(plan_text(key=key, **lease), encoding="utf-8")

    def add_station(self) -> None:
        """A second one on the line, with a lease of its own: what a station with a new lease is."""
        text = self.file.read_text(encoding="utf-8")
        first = text[text.index("  bench-s-1:") :]
        second = first.replace("bench-s-1:", "bench-s-2:").replace("Bench S 1", "Bench S 2").replace("5b", "5c")
        self.file.write_text(text + second, encoding="utf-8")

    def call(
        self, *words: str | Path, factory: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> Finished:
        return provisioning(
            *words,
            *("--stack", "dev", "--factory", factory or self.station, "--profiles", self.file, "--json"),
            variables=variables,
        )

    def ceremony(self) -> Finished:
        out = ("--out", self.authorities)
        return provisioning("ceremony", self.file, "--factory", self.office.folder, *out, "--json")

    def request(self, station: str = "bench-s-1") -> Finished:
        return self.call("station", "request", station, "--out", self.home / "station.csr.pem")

    def certify(self, request: Path | None = None, station: str = "bench-s-1") -> Finished:
        return self.call(
            *("station", "certify", station, "--csr", request or self.home / "station.csr.pem"),
            *("--authorities", self.authorities),
            factory=self.office.folder,
        )

    def show(self) -> Finished:
        return self.call("station", "show", "--authorities", self.authorities)

    def issue(self, device: str, request: Path | None = None) -> Finished:
        path = request or self.home / f"{device}.csr.pem"
        if not path.exists():
            path.write_bytes(csr(p256()))
        return self.call(
            *("issue", "--device", device, "--model", "fl100", "--authority", "bench-s-1", "--csr", path),
            *("--authorities", self.authorities, "--out", self.home / "devices" / device),
        )

    def batch(self, file: Path, out: str, station: str = "bench-s-1") -> Finished:
        return self.call(
            *("batch", file, "--model", "fl100", "--authority", station, "--out", self.home / out),
            *("--authorities", self.authorities),
        )

    def chain(self, device: str) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates((self.home / "devices" / device / "device.chain.pem").read_bytes())


@pytest.fixture
def bench(tmp_path: Path, token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """After the ceremony; the station has asked for nothing yet."""
    with_authorities(
        monkeypatch,
        tmp_path / "stacks",
        line_s="key: file, common_name: Line S",
        bench_s_1="key: pkcs11, common_name: Bench S 1",
        bench_s_2="key: pkcs11, common_name: Bench S 2",
    )
    made = Bench(tmp_path, token)
    held = made.ceremony()
    assert held.code == 0, held.err
    return made


@pytest.fixture
def ready(bench: Bench) -> Bench:
    """With a certified station."""
    for told in (bench.request(), bench.certify()):
        assert told.code == 0, told.err
    return bench


def test_a_station_makes_its_key_in_its_hsm_and_signs_without_any_other_key(ready: Bench) -> None:
    assert {path.name for path in ready.station.iterdir()} == {"hsm.yaml"}, "no key, no root, no passphrase is there"
    issued = ready.issue("device1")
    assert issued.code == 0, issued.err
    device, station, authority = ready.chain("device1")
    root = x509.load_pem_x509_certificate((ready.office.folder / "root.pem").read_bytes())
    for certificate, issuer in ((device, station), (station, authority), (authority, root)):
        certificate.verify_directly_issued_by(issuer)
    assert f"{station.serial_number:040x}".startswith("5a"), "its issuer's range"
    assert f"{device.serial_number:040x}".startswith("5b"), "its own range"
    assert station.not_valid_after_utc > device.not_valid_after_utc
    lease = station.extensions.get_extension_for_class(x509.PrivateKeyUsagePeriod).value
    assert lease.not_before is not None
    assert lease.not_before.date() == TODAY
    assert ready.show().json["stations"] == [
        {
            "station": "bench-s-1",
            "line": "bench-s",
            "authority": "line-s",
            "lease": f"{TODAY} to {TODAY + timedelta(days=90)}",
            "hours": "0 to 24 UTC",
            "used": "1 of 3",
            "standing": "may sign",
        }
    ]


@pytest.mark.judge
def test_openssl_gnutls_and_pkilint_accept_the_station_and_its_devices(ready: Bench, tmp_path: Path) -> None:
    assert ready.issue("device1").code == 0
    chain = tmp_path / "devices" / "device1" / "device.chain.pem"
    root = ready.office.folder / "root.pem"
    judged = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", root, "-untrusted", chain, chain],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
    told = subprocess.run(
        ["certtool", "--verify", "--load-ca-certificate", root, "--infile", chain],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout
    linted = subprocess.run(
        [LINT, "lint", "-s", "WARNING", ready.authorities / "bench-s-1.pem"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONWARNINGS": ""},
    )
    assert (linted.returncode, linted.stdout.strip(), linted.stderr.strip()) == (0, "", "")


def test_setting_a_station_up_again_changes_nothing(ready: Bench) -> None:
    kept = (ready.authorities / "bench-s-1.pem").read_bytes()
    assert ready.request().code == 0
    again = ready.certify()
    assert again.json["result"] == "was certified before"
    assert (ready.authorities / "bench-s-1.pem").read_bytes() == kept


def test_a_certification_that_was_cut_off_signs_the_same_bytes_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.request().code == 0

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(certifying, "write_durably", full)
        assert bench.certify().code == 1
    (prepared,) = (bench.office.folder / "stations").iterdir()
    bytes_before = prepared.read_bytes()
    assert bench.certify().json["result"] == "certified"
    certificate = x509.load_pem_x509_certificate((bench.authorities / "bench-s-1.pem").read_bytes())
    assert certificate.tbs_certificate_bytes == bytes_before, "one serial number, whatever happened between"


def test_a_station_with_another_key_is_another_station(ready: Bench) -> None:
    plan = parse_factory(read_document(ready.file))
    stranger = ready.home / "stranger.csr.pem"
    stranger.write_bytes(make_request(station_name(plan.stations["bench-s-1"], plan), FileSigner(p256())))
    refused = ready.certify(stranger)
    assert refused.code == 2
    assert "is certified with another key; a station with a new key or a new lease has a new name" in refused.err


def factory_plan(tmp_path: Path) -> FactoryFile:
    path = tmp_path / "factory.yaml"
    path.write_text(plan_text(), encoding="utf-8")
    return parse_factory(read_document(path))


STATION = name(ORGANIZATION_NAME="Test Fleet", COMMON_NAME="Bench S 1")


def forged() -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(STATION).sign(p256(), hashes.SHA256())
    der = bytearray(request.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)


def station_subject() -> x509.Name:
    return name(ORGANIZATION_NAME="Test Fleet", COMMON_NAME="Bench S 1")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"no request", "this is no request in PEM"),
        (lambda: b"A" * 20_000, "at most 16384 are read"),
        (forged, "no proof that the station has it"),
        (lambda: csr(p256(), name(COMMON_NAME="Bench S 2")), "take the request of this station"),
        (lambda: csr(p256()), "take the request of this station"),
        (lambda: csr(weak.ec_key(1), station_subject()), "its key is weak: it has"),
    ],
)
def test_a_bad_request_of_a_station_is_refused(make: Callable[[], bytes], reason: str, tmp_path: Path) -> None:
    plan = factory_plan(tmp_path)
    with pytest.raises(RefusedError, match=reason):
        check_request(make(), "bench-s-1", plan.stations["bench-s-1"], plan, RefusedKeys())


def test_a_station_signs_no_more_than_its_lease_says_and_gives_again_what_it_gave(ready: Bench) -> None:
    for number in range(3):
        assert ready.issue(f"device{number}").code == 0
    refused = ready.issue("device3")
    assert refused.code == 2
    assert "station bench-s-1: may sign 3 certificates and has signed them; renew its lease" in refused.err
    assert "device3" not in ready.call("ledger", "list").out
    assert ready.issue("device0").code == 0, "the same order again is not another certificate"
    assert ready.show().json["stations"][0]["standing"] == "its lease is used up"


def told_of(bench: Bench, now: datetime, device: str = "device3") -> tuple[list[Check], Answered]:
    """Whether the station is ready to sign for its line, and what its API answers to a new device."""
    station = Station.open(
        stack="dev",
        factory=bench.station,
        authorities=bench.authorities,
        profiles=bench.file,
        clock=lambda: now,
    )
    signers = ("bench-s-1",)
    not_ready = [check for check in checks(station, signers) if not check.is_ok]
    wanted = {"device": device, "model": "fl100", "authority": "bench-s-1", "csr": csr(p256()).decode()}
    return not_ready, answer_of(station_api(station, TOKEN, signers=signers), "POST", "/v1/identities", wanted)


def test_a_station_whose_lease_gives_nothing_says_so_before_it_is_asked_and_nobody_blames_the_line(
    ready: Bench,
) -> None:
    now = datetime.now(UTC)
    assert told_of(ready, now, "device0")[0] == []
    for number in range(1, 3):
        assert ready.issue(f"device{number}").code == 0
    after = now + timedelta(days=91)
    for moment, reason in ((now, "may sign 3 certificates and has signed them"), (after, "may sign from")):
        not_ready, answered = told_of(ready, moment)
        assert [(check.name, check.who) for check in not_ready] == [("authority bench-s-1", Who.OPERATOR)]
        assert reason in not_ready[0].detail
        assert (answered.status, answered.json["type"], answered.json["who"]) == (503, "/problems/signer", "operator")
        assert answered.json["detail"].startswith("device device3: nothing was issued, ask again once this is mended: ")
        assert reason in answered.json["detail"], "the lease is named, so that it can be renewed"


@pytest.mark.parametrize(
    ("lease", "reason"),
    [
        ({"begins": TODAY + timedelta(days=1)}, "may sign from"),
        (
            {"from_hour": (datetime.now(UTC).hour + 2) % 24, "to_hour": (datetime.now(UTC).hour + 3) % 24 or 24},
            "o'clock",
        ),
    ],
)
def test_a_station_signs_in_its_days_and_hours_alone(lease: dict[str, object], reason: str, bench: Bench) -> None:
    bench.plan(**lease)
    for told in (bench.request(), bench.certify()):
        assert told.code == 0, told.err
    refused = bench.issue("device1")
    assert refused.code == 2
    assert reason in refused.err


def test_a_lease_that_was_lengthened_in_the_file_alone_is_no_lease(ready: Bench) -> None:
    ready.plan(ends=TODAY + timedelta(days=300))
    refused = ready.issue("device1")
    assert refused.code == 2
    assert "a new lease is a new name and a new key" in refused.err


def test_a_lease_that_is_over_is_not_certified(bench: Bench) -> None:
    bench.plan(begins=TODAY - timedelta(days=30), ends=TODAY - timedelta(days=1))
    assert bench.request().code == 0
    refused = bench.certify()
    assert refused.code == 2
    assert "its lease ended on" in refused.err


def test_a_station_that_was_taken_back_signs_nothing(ready: Bench) -> None:
    station = x509.load_pem_x509_certificate((ready.authorities / "bench-s-1.pem").read_bytes())
    withdraw(
        ready.station,
        Withdrawn(
            name="bench-s-1",
            issuer="line-s",
            serial=f"{station.serial_number:x}",
            at=datetime.now(UTC),
            not_after=station.not_valid_after_utc,
            reason=Reason.KEY_COMPROMISE,
        ),
    )
    refused = ready.issue("device1")
    assert refused.code == 2
    assert "bench-s-1: was taken back on" in refused.err
    assert ready.show().json["stations"][0]["standing"].startswith("taken back on")


def test_a_station_whose_key_is_on_a_list_is_not_certified(bench: Bench) -> None:
    assert bench.request().code == 0
    key = x509.load_pem_x509_csr((bench.home / "station.csr.pem").read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    (bench.home / "lost.txt").write_text(hashlib.sha256(spki).hexdigest(), encoding="ascii")
    bench.file.write_text(bench.file.read_text(encoding="utf-8") + "refused_keys: [lost.txt]\n", encoding="utf-8")
    refused = bench.certify()
    assert (refused.code, "the list of keys that are never certified" in refused.err) == (2, True), refused.err


def order_of(bench: Bench, devices: int) -> Path:
    rows = [{"device": f"device{number}", "csr": batches.request()} for number in range(devices)]
    return batches.write(bench.home / "order.csv", rows)


def test_a_lease_that_runs_out_in_a_batch_gives_the_other_rows_back_and_a_new_lease_ends_them(ready: Bench) -> None:
    file = order_of(ready, 5)
    told = ready.batch(file, "first")
    assert (told.code, told.json["issued"], told.json["failed"]) == (2, 3, 2), told.err
    came_back = batches.read(ready.home / "first" / "failed.csv")
    assert [row["device"] for row in came_back] == ["device3", "device4"]
    for row in came_back:
        assert row["reason"].startswith("station bench-s-1: may sign 3 certificates and has signed them; renew its")
    assert "device3" not in ready.call("ledger", "list").out, "what is refused is not reserved either"
    again = ready.batch(file, "first")
    assert (again.code, again.out) == (2, told.out), "the same lease gives no more"

    ready.add_station()
    for done in (ready.request("bench-s-2"), ready.certify(station="bench-s-2")):
        assert done.code == 0, done.err
    rest = ready.batch(ready.home / "first" / "failed.csv", "second", "bench-s-2")
    assert (rest.code, rest.json["issued"]) == (0, 2), rest.err
    issued = [row for out in ("first", "second") for row in batches.read(ready.home / out / "certificates.csv")]
    assert [(row["device"], row["authority"]) for row in issued] == [
        *((f"device{number}", "bench-s-1") for number in range(3)),
        *((f"device{number}", "bench-s-2") for number in (3, 4)),
    ]
    for row in issued:
        signer = x509.load_pem_x509_certificate((ready.authorities / f"{row['authority']}.pem").read_bytes())
        batches.certificate(row).verify_directly_issued_by(signer)


def test_an_audit_holds_a_station_to_its_lease(ready: Bench) -> None:
    def audited() -> Finished:
        return ready.call("audit", "--authorities", ready.authorities)

    for number in range(3):
        assert ready.issue(f"device{number}").code == 0
    sound = audited()
    assert (sound.code, sound.json["verified_signatures"]) == (0, 3), "a small ledger is verified whole, unasked"
    assert "every signature" in sound.json["proven"]
    ready.plan(certificates=2)
    told = audited()
    assert told.code == 1
    assert [(each["kind"], each["text"]) for each in told.json["findings"]] == [
        ("lease", "bench-s-1: prepared 3 certificates, and its lease gives 2")
    ]


@dataclass(frozen=True)
class Opener:
    """How the processes of a batch open this bench's station, in the stack of its test."""

    stacks: Path
    factory: Path
    authorities: Path
    profiles: Path

    def __call__(self) -> Station:
        defaults = load_environment.__kwdefaults__
        assert defaults is not None
        defaults["directory"] = self.stacks
        return Station.open(stack="dev", factory=self.factory, authorities=self.authorities, profiles=self.profiles)


def test_processes_share_an_hsm_and_a_lease(ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PART_ROWS", 2)
    monkeypatch.setattr(bulk_batch, "ALONE", 0)
    found, problems = table.scan(order_of(ready, 7))
    assert (len(found.parts), problems.rows) == (4, 0)
    opener = Opener(ready.home / "stacks", ready.station, ready.authorities, ready.file)
    batch = bulk_batch.Batch(
        table=found, defaults=Defaults("fl100", "bench-s-1"), folder=Folder(ready.home / "out"), has_bundles=False
    )
    with batch.folder.held(batch.claim):
        done = bulk_batch.issue_batch(batch, opener(), opener, jobs=2, progress=lambda rows: None)
    assert (done.issued, done.failed) == (3, 4)
    parts = sorted((ready.home / "out" / "parts").glob("*.certificates.csv"))
    signed = [line.split(b",")[0] for part in parts for line in part.read_bytes().splitlines()]
    assert len(set(signed)) == 3, "each of another device"


def test_many_at_once_never_exceed_a_lease(tmp_path: Path) -> None:
    plan = factory_plan(tmp_path)
    with Ledger.open(tmp_path, "dev", create=True):
        pass
    refused: list[str] = []

    def reserve(worker: int) -> None:
        for number in range(4):
            device = f"device-{worker}-{number}"
            now = datetime.now(UTC)
            try:
                with (
                    Ledger.open(tmp_path, "dev") as ledger,
                    signing(plan, "bench-s-1", ledger, tmp_path, wanted=1, now=now),
                ):
                    ledger.prepare(intent(device, now), at=now)
            except RefusedError:
                refused.append(device)

    threads = [threading.Thread(target=reserve, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Ledger.open(tmp_path, "dev") as ledger:
        assert issued_by(ledger, "bench-s-1") == 3
    assert len(refused) == 13


def test_what_a_station_has_issued_is_counted_on_from_the_last_count(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with Ledger.open(tmp_path, "dev", create=True) as ledger, Ledger.open(tmp_path, "dev") as other:
        assert issued_by(ledger, "bench-s-1") == 0
        ledger.prepare_all([intent(f"device-{number}", now) for number in range(200)], at=now)
        assert issued_by(ledger, "bench-s-1") == 200
        other.prepare(intent("device-of-another-process", now), at=now)
        assert issued_by(ledger, "bench-s-1") == 201, "what another process reserved counts at once"
        assert issued_by(ledger, "line-s") == 0, "each signer has its own count"
        assert steps_of_a_count(ledger) < 50, "nothing is read again: SQLite takes a step or more for each row it reads"
        assert steps_of_a_count(other) > 200
        with ledger.adding("a test"), pytest.raises(RuntimeError, match="count before or after"):
            issued_by(ledger, "bench-s-1")


def steps_of_a_count(ledger: Ledger) -> int:
    """What SQLite's machine does for one count."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    ledger.connection.set_progress_handler(step, 1)
    issued_by(ledger, "bench-s-1")
    ledger.connection.set_progress_handler(None, 1)
    return steps


def intent(device: str, now: datetime) -> Intent:
    return Intent(
        device=DeviceId(device),
        model="fl100",
        authority="bench-s-1",
        key_hash=device.encode().hex().ljust(64, "0"),
        serial=int.from_bytes(device.encode()),
        not_before=now,
        not_after=now + timedelta(days=1),
        to_be_signed=device.encode(),
    )


HELD = """\
environment: dev
root: { common_name: Test Root CA, organization: Test Fleet, key: file, lifetime_years: 30 }
models:
  fl100: { lifetime_years: 15 }
lines:
  bench-h: { authority: line-h, models: [fl100] }
authorities:
  line-h: { common_name: Line H, key: pkcs11, algorithm: ecdsa-p384-sha384, lifetime_years: 20, path_length: 0 }
"""


def test_an_authority_whose_key_is_in_an_hsm_is_made_once_and_issues(
    tmp_path: Path, token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_authorities(monkeypatch, tmp_path / "stacks", line_h="key: pkcs11, common_name: Line H")
    factory = Factory(tmp_path)
    factory.folder.mkdir()
    token.describe(factory.folder)
    assert [row["result"] for row in factory.ceremony(HELD).json["authorities"]] == ["made", "made"]
    assert [row["result"] for row in factory.ceremony(HELD).json["authorities"]] == ["kept", "kept"]
    assert not (factory.folder / "line-h.key.pem").exists()
    request = tmp_path / "device.csr.pem"
    request.write_bytes(csr(p256()))
    profiles = ("--profiles", tmp_path / "ceremony.yaml")
    issued = factory.issue("device1", "--csr", request, *profiles, authority="line-h", model="fl100")
    assert issued.code == 0, issued.err
    certificate, issuer = factory.chain("device1")
    certificate.verify_directly_issued_by(issuer)
    assert certificate.signature_hash_algorithm is not None
    assert certificate.signature_hash_algorithm.name == "sha384"


@pytest.mark.cloud
def test_an_online_station_may_keep_its_key_in_kms(
    tmp_path: Path, token: SoftToken, connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_authorities(
        monkeypatch,
        tmp_path / "stacks",
        line_s="key: file, common_name: Line S",
        bench_s_1="key: kms, common_name: Bench S 1",
    )
    made = Bench(tmp_path / "bench", token)
    made.plan("kms")
    made.ceremony()
    early = made.request()
    assert early.code == 2
    assert "authority bench-s-1: its key is in KMS; give --outputs FILE" in early.err
    known = Outputs.model_validate_json(connected.outputs.read_bytes()).model_dump()
    kms = connected.client("kms", "eu-north-1")
    arn = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    known["authorities"]["bench-s-1"] = {
        "key": "kms",
        "key_arn": arn,
        "key_region": "eu-north-1",
        "ca_certificate_ids": {},
    }
    outputs = tmp_path / "outputs.json"
    outputs.write_text(Outputs.model_validate(known).model_dump_json(), encoding="utf-8")
    request = made.home / "station.csr.pem"
    asked = made.call(
        *("station", "request", "bench-s-1", "--out", request, "--outputs", outputs), variables=connected.variables
    )
    assert asked.code == 0, asked.err
    assert made.certify().code == 0
    device = made.home / "device1.csr.pem"
    device.write_bytes(csr(p256()))
    issued = made.call(
        *("issue", "--device", "device1", "--model", "fl100", "--authority", "bench-s-1", "--csr", device),
        *("--authorities", made.authorities, "--out", made.home / "devices" / "device1", "--outputs", outputs),
        variables=connected.variables,
    )
    assert issued.code == 0, issued.err
    certificate, station, authority = made.chain("device1")
    certificate.verify_directly_issued_by(station)
    station.verify_directly_issued_by(authority)
