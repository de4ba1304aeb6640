"""One identity a device: what `issue` gives, gives again, and refuses."""

import json
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.utils import CryptographyDeprecationWarning

from protocol.bundle import read_bundle
from protocol.device_id import DeviceId
from protocol.reconnect_place import reconnect_place
from provisioning.algorithm import KeyType
from provisioning.authority import IssuingAuthority
from provisioning.birth import BirthProfile
from provisioning.draft import draft
from provisioning.errors import RefusedError
from provisioning.file_signer import FileSigner
from provisioning.key_file import read_authority_key
from provisioning.passphrase import read_kept_passphrase
from provisioning.profile import years
from provisioning.request import Request
from stacks.load import load_environment
from tests.provisioning.factory import ROOT, Factory, provisioning
from tests.provisioning.requests import csr, name, p256, with_unknown_key

P256 = KeyType.P256


def request(factory: Factory, key: ec.EllipticCurvePrivateKey, file: str = "device.csr.pem", **subject: str) -> Path:
    path = factory.home / file
    path.write_bytes(csr(key, name(**subject)))
    return path


def test_a_bundle_has_everything_a_device_needs_to_connect(factory: Factory) -> None:
    issued = factory.issue("device1")
    assert issued.code == 0, issued.err
    folder = factory.device("device1")
    assert sorted(path.name for path in folder.iterdir()) == [
        "bundle.json",
        "device.chain.pem",
        "device.key.pem",
        "trust-anchors.pem",
    ]
    bundle = read_bundle(folder)
    assert (bundle.device, bundle.model, bundle.port) == ("device1", "fl50", 8883)
    assert bundle.hostname == "device1.gw.iot-dev.example.com"
    assert bundle.topics.batch == "dt/device1/batch"
    assert bundle.batch_window == load_environment("dev", today=None).models["fl50"].batch_window
    certificate, issuer = factory.chain("device1")
    key = load_pem_private_key((folder / "device.key.pem").read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    assert stat.S_IMODE((folder / "device.key.pem").stat().st_mode) == 0o600
    assert issuer.subject.rfc4514_string() == "CN=Flotilla Dev Line A Issuing CA,O=Test Fleet"
    assert issued.json["fingerprint"] == certificate.fingerprint(hashes.SHA256()).hex()
    assert issued.json["serial"] == f"{certificate.serial_number:x}"


def test_each_device_has_a_place_in_the_return_of_its_own_and_keeps_it(factory: Factory) -> None:
    assert [factory.issue(device).code for device in ("device1", "device2")] == [0, 0]
    places = [read_bundle(factory.device(device)).reconnect_place for device in ("device1", "device2")]
    with sqlite3.connect(factory.folder / "ledger.db") as ledger:
        (named,) = ledger.execute("SELECT id FROM ledger").fetchone()
        numbers = [number for (number,) in ledger.execute("SELECT number FROM issuance ORDER BY number")]
    assert places == [reconnect_place(number, named) for number in numbers], "even, and turned by the ledger's name"
    assert places[0] != places[1]
    assert factory.issue("device1").code == 0
    assert read_bundle(factory.device("device1")).reconnect_place == places[0]


def test_a_device_trusts_the_roots_of_amazon_unless_told_otherwise(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    pem = (factory.device("device1") / "trust-anchors.pem").read_bytes()
    with pytest.warns(CryptographyDeprecationWarning, match="serial number"):  # Starfield's is 0
        anchors = x509.load_pem_x509_certificates(pem)
    names = [certificate.subject.rfc4514_string().split(",")[0] for certificate in anchors]
    assert names == [
        *(f"CN=Amazon Root CA {number}" for number in (1, 2, 3, 4)),
        "CN=Starfield Services Root Certificate Authority - G2",
    ]
    same = factory.issue(
        "device1", "--generate-key", "--trust-anchors", factory.device("device1") / "trust-anchors.pem"
    )
    assert same.code == 0, same.err
    assert (factory.device("device1") / "trust-anchors.pem").read_bytes() == pem, "its own file is taken as it is"
    own = factory.folder / "root.pem"
    assert factory.issue("device1", "--generate-key", "--trust-anchors", own).code == 0
    assert (factory.device("device1") / "trust-anchors.pem").read_bytes() == own.read_bytes()


def test_the_same_request_again_gives_the_same_certificate(factory: Factory) -> None:
    path = request(factory, p256(), COMMON_NAME="device1")
    first = factory.issue("device1", "--csr", path)
    before = {file.name: file.read_bytes() for file in factory.device("device1").iterdir()}
    again = factory.issue("device1", "--csr", path)
    assert (first.code, again.code, again.out) == (0, 0, first.out)
    assert {file.name: file.read_bytes() for file in factory.device("device1").iterdir()} == before


def test_a_request_made_anew_with_the_same_key_is_the_same_request(factory: Factory) -> None:
    key = p256()
    first = factory.issue("device1", "--csr", request(factory, key))
    again = factory.issue("device1", "--csr", request(factory, key, "other.csr.pem", COMMON_NAME="device1"))
    assert first.json["fingerprint"] == again.json["fingerprint"]


def test_another_key_for_a_known_device_is_refused_until_the_first_is_retired(factory: Factory) -> None:
    assert factory.issue("device1", "--csr", request(factory, p256())).code == 0
    second = request(factory, p256(), "second.csr.pem")
    refused = factory.issue("device1", "--csr", second)
    assert refused.code == 2
    assert "python -m provisioning revoke --device device1 --reason superseded" in refused.err
    retired = factory.revoke("device1", reason="superseded")
    assert retired.code == 0, retired.err
    assert factory.issue("device1", "--csr", second).code == 0
    steps = [row["step"] for row in factory.ledger("list").json["issuances"]]
    assert steps == ["revoked", "delivered"]


def test_one_key_is_one_device_for_ever(factory: Factory) -> None:
    path = request(factory, p256())
    assert factory.issue("device1", "--csr", path).code == 0
    other = factory.issue("device2", "--csr", path)
    assert other.code == 2
    assert "this key belongs to device device1" in other.err
    provisioning(
        "revoke", "--stack", "dev", "--device", "device1", "--reason", "unspecified", "--factory", factory.folder
    )
    again = factory.issue("device1", "--csr", path)
    assert again.code == 2
    assert "this key of device device1 was revoked; a new identity needs a new key" in again.err


def test_a_model_that_contradicts_the_first_order_is_refused(factory: Factory) -> None:
    path = request(factory, p256())
    assert factory.issue("device1", "--csr", path, model="fl50").code == 0
    other = factory.issue("device1", "--csr", path, model="fl100")
    assert other.code == 2
    assert "was issued as model fl50 by line-a, not as model fl100" in other.err


def test_the_ledger_holds_no_private_key(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    key = load_pem_private_key((factory.device("device1") / "device.key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    for path in factory.folder.glob("ledger.db*"):
        assert secret not in path.read_bytes()
        assert b"PRIVATE KEY" not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


REFUSED = [
    (["--device", "Device1"], "--device: device id 'Device1' has capitals"),
    (["--device", "device_1"], "--device: device id 'device_1' is no DNS label"),
    (["--device", ""], "--device: a device id is empty"),
    (["--device", "d" * 64], "has 64 characters"),
    (["--model", "fl999"], "--model: factory dev makes no model 'fl999'; it makes fl100, fl50"),
    (["--model", "fl100"], "--generate-key: a fl100 makes its key itself and never shows it"),
    (["--authority", "line-z"], "--authority: factory dev has no authority 'line-z'; it has line-a, line-b"),
    (["--authority", "line-b"], "line-b.pem: authority line-b has no certificate yet; hold the ceremony"),
    (["--stack", "nowhere"], "there is no such factory file; environments are: dev"),
    (["--profiles", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    (["--profiles", "stacks/factories/staging.yaml"], "is the factory of staging, not of dev; give that of dev"),
    (["--csr", "somewhere.pem"], "give either --csr FILE or --generate-key"),
    (["--trust-anchors", "pyproject.toml"], "pyproject.toml: holds no certificates in PEM"),
]


@pytest.mark.parametrize(("changed", "said"), REFUSED)
def test_a_bad_order_is_refused_before_anything_is_issued(changed: list[str], said: str, factory: Factory) -> None:
    refused = factory.issue("device1", "--generate-key", *changed)
    assert (refused.code, refused.out) == (2, "")
    assert said in " ".join(refused.err.replace("│", " ").split())
    assert not (factory.folder / "ledger.db").exists() or _issuances(factory) == 0


def test_an_authority_that_would_end_before_the_device_issues_no_more(factory: Factory, tmp_path: Path) -> None:
    later = datetime.now(UTC) + timedelta(days=6 * 365)
    certificate = x509.load_pem_x509_certificate((factory.authorities / "line-a.pem").read_bytes())
    ready = IssuingAuthority.ready(
        name="line-a", certificate=certificate, signer=_signer(factory), root=None, now=later
    )
    asked = Request.of_key(
        p256().public_key(), device=DeviceId("device1"), model="fl50", authority="line-a", key_type=P256
    )
    with pytest.raises(RefusedError, match=r"after its issuer line-a on .*; issue with a younger authority"):
        draft(asked, ready.template, profile=BirthProfile(key_type=P256, lifetime=years(15)), now=later, serial=77)
    shorter = BirthProfile(key_type=P256, lifetime=years(13))
    assert (
        draft(asked, ready.template, profile=shorter, now=later, serial=77).not_after <= certificate.not_valid_after_utc
    )


def _signer(factory: Factory) -> FileSigner:
    return FileSigner(read_authority_key(factory.folder / "line-a.key.pem", read_kept_passphrase(factory.folder)))


def _issuances(factory: Factory) -> int:
    connection = sqlite3.connect(factory.folder / "ledger.db")
    (count,) = connection.execute("SELECT count(*) FROM issuance").fetchone()
    connection.close()
    return int(count)


def test_a_csr_that_is_not_there_is_refused_by_its_path(factory: Factory) -> None:
    refused = factory.issue("device1", "--csr", "nowhere.pem")
    assert refused.code == 2
    assert "--csr: nowhere.pem cannot be read (No such file or directory)" in refused.err


def test_a_list_in_a_log_is_found_by_device_and_fingerprint(factory: Factory) -> None:
    device = "a" * 63
    fingerprint = factory.issue(device).json["fingerprint"]
    told = provisioning("ledger", "list", "--stack", "dev", "--factory", factory.folder)
    (line,) = [line for line in told.out.splitlines() if fingerprint in line]
    assert device in line
    for other in ("device1", "device2"):
        assert factory.issue(other).code == 0
    newest = provisioning("ledger", "list", "--stack", "dev", "--factory", factory.folder, "--last", "2")
    assert (device in newest.out, "device1" in newest.out, "device2" in newest.out) == (False, True, True)
    assert newest.out.endswith("2 delivered\nthe newest 2 of 3: more with --last, all with --json\n")
    assert len(factory.ledger("list").json["issuances"]) == 3


def test_a_bad_csr_is_refused_with_its_device_and_its_file(factory: Factory) -> None:
    path = factory.home / "broken.csr.pem"
    path.write_text("nonsense", encoding="ascii")
    refused = factory.issue("q", "--csr", path)
    assert refused.code == 2
    assert refused.err.startswith(
        f"provisioning: device q: --csr: {path}: the request is no certificate request in PEM"
    )


def test_a_folder_of_another_device_is_not_overwritten(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    refused = factory.issue("device2", "--generate-key", "--out", factory.device("device1"))
    assert refused.code == 2
    assert "holds the bundle of device device1" in refused.err
    document = json.loads((factory.device("device1") / "bundle.json").read_text())
    assert document["device"] == "device1"
    assert document["keep_alive_seconds_by_operator"] == {"Nordtel": 192}, "what the stack says of its networks"


def test_a_key_that_is_not_the_identitys_is_not_left_beside_it(factory: Factory) -> None:
    path = request(factory, p256())
    assert factory.issue("device1").code == 0
    issued = factory.issue("device2", "--csr", path, "--out", factory.device("device2"))
    assert issued.code == 0
    stray = factory.device("device2") / "device.key.pem"
    stray.write_bytes((factory.device("device1") / "device.key.pem").read_bytes())
    again = factory.issue("device2", "--csr", path)
    assert again.code == 2
    assert "is another key than the one to certify for device device2" in again.err


def test_a_request_that_is_not_of_the_key_in_the_folder_is_refused_before_anything_is_issued(factory: Factory) -> None:
    key = p256()
    (folder := factory.device("device2")).mkdir(parents=True)
    (folder / "device.key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    refused = factory.issue("device2", "--csr", request(factory, p256()), "--out", folder)
    assert refused.code == 2
    assert "is another key than the one to certify for device device2" in refused.err
    assert not (factory.folder / "ledger.db").exists() or _issuances(factory) == 0
    issued = factory.issue("device2", "--csr", request(factory, key), "--out", folder)
    assert issued.code == 0, f"the right request is not shut out by the wrong one: {issued.err}"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("line-a.key.pem", "the passphrase is wrong or the file is damaged"),
        ("passphrase", "the passphrase is wrong or the file is damaged"),
        ("root.pem", "is no readable certificate"),
    ],
)
def test_a_damaged_factory_is_named_and_issues_nothing(damage: str, said: str, factory: Factory) -> None:
    (factory.folder / damage).write_bytes(b"\x00" * 40)
    failed = factory.issue("device1")
    assert failed.code == 1
    assert said in failed.err
    assert not (factory.folder / "ledger.db").exists()


def test_a_certificate_of_a_key_that_nobody_knows_is_named_by_whoever_meets_it(factory: Factory) -> None:
    assert factory.issue("device0").code == 0
    for path in (factory.authorities / "line-a.pem", factory.folder / "root.pem"):
        strange = with_unknown_key(x509.load_pem_x509_certificate(path.read_bytes()))
        path.write_bytes(strange.public_bytes(Encoding.PEM))
    common = ("--stack", "dev", "--factory", factory.folder)
    for told, code, said in (
        (factory.issue("device1"), 2, "line-a.pem: its key cannot be read (Unknown key type"),
        (provisioning("audit", *common, "--authorities", factory.authorities), 1, "is no readable certificate"),
        (provisioning("crl", *common, "--authority", "root", "--apply"), 1, "belongs to another key"),
        (factory.ceremony(), 2, "put the file back as it was reviewed"),
    ):
        assert (told.code, said in told.err) == (code, True), told.err


def test_a_certificate_of_another_factory_does_not_sign_with_this_ones_key(factory: Factory, tmp_path: Path) -> None:
    other = Factory(tmp_path / "other")
    other.home.mkdir()
    assert other.ceremony().code == 0
    mixed = factory.issue("device1", "--generate-key", "--authorities", other.authorities)
    assert mixed.code == 1
    assert "its certificate belongs to another key than its signer's" in mixed.err


def test_a_ledger_of_another_environment_is_refused(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    listed = provisioning("ledger", "list", "--stack", "production", "--factory", factory.folder)
    assert listed.code == 1
    assert "is the ledger of environment dev, not of production" in listed.err


def test_the_program_itself_tells_a_refusal_in_one_line_without_a_traceback(factory: Factory) -> None:
    command = [sys.executable, "-W", "error", "-m", "provisioning", *map(str, factory.order("device1", "--csr", "x"))]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    said = (
        "provisioning: device device1: --csr: x cannot be read (No such file or directory); give the device's request"
    )
    assert refused.stderr == f"{said}\n"


def test_certificates_that_come_with_boards_are_judged_each_with_its_reasons(factory: Factory, tmp_path: Path) -> None:
    assert factory.issue("device1").code == 0
    good = tmp_path / "good.pem"
    good.write_bytes(factory.chain("device1")[0].public_bytes(Encoding.PEM))
    judge: tuple[str | Path, ...] = (
        "certificates",
        "check",
        "--stack",
        "dev",
        "--authority",
        "line-a",
        "--authorities",
    )
    judge += (factory.authorities,)
    accepted = provisioning(*judge, "--model", "fl50", good, "--json")
    assert (accepted.code, accepted.json) == (0, {"certificates": [{"file": str(good), "result": "good"}]})
    authority, junk = factory.authorities / "line-a.pem", tmp_path / "junk.pem"
    junk.write_text("no certificate")
    refused = provisioning(*judge, "--model", "fl50", good, authority, junk, "--json")
    told = [(Path(row["file"]).name, row["result"]) for row in refused.json["certificates"]]
    assert refused.code == 2
    assert [name for name, _ in told] == ["good.pem", "line-a.pem", "junk.pem"]
    assert "its subject's common name: device id 'Flotilla Dev Line A Issuing CA' has capitals" in told[1][1]
    assert "is no readable certificate" in told[2][1]
    for wrong, said in (("--model", "makes no model 'fl9'"), ("--authority", "fl9.pem is not there")):
        assert said in provisioning(*judge, "--model", "fl50", wrong, "fl9", good).err
