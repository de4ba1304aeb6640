"""Holding a ceremony: what it leaves, and what a second one may do."""

import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.ceremony import Made, Room, hold
from provisioning.commands.options import now
from provisioning.errors import RefusedError, StationError
from provisioning.factory_file import FactoryFile
from provisioning.key_file import read_authority_key
from provisioning.passphrase import given_passphrase
from tests.provisioning.factory import CEREMONY, Factory, provisioning
from tests.provisioning.requests import p256

PASSPHRASE = "correct horse battery staple"  # noqa: S105  # of a throw-away key


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_rerun_keeps_everything_that_stands(factory: Factory) -> None:
    before = contents(factory.home)
    again = factory.ceremony()
    assert again.code == 0
    assert [row["result"] for row in again.json["authorities"]] == ["kept", "kept"]
    assert contents(factory.home) == before


def test_keys_and_passphrase_are_readable_by_their_owner_only_and_keys_are_encrypted(factory: Factory) -> None:
    for name in ("root.key.pem", "line-a.key.pem", "passphrase"):
        assert stat.S_IMODE((factory.folder / name).stat().st_mode) == 0o600, name
    for name in ("root.key.pem", "line-a.key.pem"):
        assert (factory.folder / name).read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert sorted(path.name for path in factory.authorities.iterdir()) == ["line-a.pem"], "nothing secret, nothing half"


def test_a_lost_certificate_is_made_again_for_the_same_key(factory: Factory) -> None:
    path = factory.authorities / "line-a.pem"
    former = x509.load_pem_x509_certificate(path.read_bytes())
    path.unlink()
    assert factory.ceremony().code == 0
    made = x509.load_pem_x509_certificate(path.read_bytes())
    assert made.public_key() == former.public_key()
    assert made.serial_number != former.serial_number


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Test Root CA", "Other Root CA", "root: the one that stands is CN=Test Root CA,O=Test Fleet"),
        ("path_length: 0", "path_length: 1", "authorities.line-a.path_length: the authority that stands has 0"),
        (
            "path_length: 0",
            "path_length: 0, name_constraints: device-hosts",
            "was not made with device-hosts of iot-dev",
        ),
        ("lifetime_years: 30", "lifetime_years: 29", "root.lifetime_years: the root that stands lasts from"),
        (
            "lifetime_years: 20",
            "lifetime_years: 16",
            "line-a.lifetime_years: the authority that stands lasts",
        ),
    ],
)
def test_a_file_that_contradicts_what_stands_is_refused(old: str, new: str, said: str, factory: Factory) -> None:
    before = contents(factory.home)
    held = factory.ceremony(CEREMONY.replace(old, new))
    assert held.code == 2
    assert said in held.err
    assert contents(factory.folder) == {
        name.removeprefix("factory/"): data for name, data in before.items() if name.startswith("factory/")
    }


def test_authorities_without_their_root_are_not_given_another(factory: Factory) -> None:
    shutil.rmtree(factory.folder)
    held = factory.ceremony()
    assert held.code == 1
    assert "certificates of line-a are there and their root is not" in held.err


def test_a_lost_issuing_key_is_not_replaced_behind_its_certificates_back(factory: Factory) -> None:
    (factory.folder / "line-a.key.pem").unlink()
    held = factory.ceremony()
    assert held.code == 1
    assert "line-a.key.pem" in held.err


def test_a_kms_authority_whose_key_is_not_deployed_says_to_deploy_first(tmp_path: Path) -> None:
    factory = Factory(tmp_path)
    held = factory.ceremony(
        CEREMONY.replace("Line A", "Line B")
        .replace("line-a", "line-b")
        .replace("key: file, lifetime_years: 20", "key: kms, lifetime_years: 20")
    )
    assert held.code == 2
    assert "authority line-b: its key is in KMS; give --outputs FILE" in held.err
    assert not factory.folder.exists()


def kms_ceremony(root_years: int = 30, issuing_years: int = 20, path_length: int = 0) -> FactoryFile:
    root = {"common_name": "R", "organization": "O", "key": "file", "lifetime_years": root_years}
    line = {"common_name": "L", "key": "kms", "lifetime_years": issuing_years, "path_length": path_length}
    return FactoryFile.model_validate(
        {
            "environment": "staging",
            "root": root,
            "authorities": {"line-a": line},
            "lines": {"bench": {"authority": "line-a", "models": ["fl50"]}},
            "models": {"fl50": {"lifetime_years": 15}},
        }
    )


def hold_in(
    folder: Path, ceremony: FactoryFile, key: ec.EllipticCurvePublicKey, passphrase: str = PASSPHRASE
) -> tuple[Made, ...]:
    return hold(
        ceremony,
        Room(
            factory=folder / "factory",
            out=folder / "authorities",
            root_passphrase=given_passphrase(lambda: passphrase),
            held_keys={"line-a": key},
            domain="iot-dev.example.com",
            gateway_signer=None,
            now=now(),
            new_serial=x509.random_serial_number,
        ),
    )


def test_outside_dev_the_passphrase_comes_from_people_and_is_never_written(tmp_path: Path) -> None:
    hold_in(tmp_path, kms_ceremony(), p256().public_key())
    assert sorted(path.name for path in (tmp_path / "factory").iterdir()) == ["root.key.pem", "root.pem"]
    assert all(PASSPHRASE.encode() not in data for data in contents(tmp_path).values())


def test_an_authority_of_device_hosts_alone_says_so_in_its_certificate(tmp_path: Path) -> None:
    factory = Factory(tmp_path)
    limited = CEREMONY.replace("path_length: 0", "path_length: 0, name_constraints: device-hosts")
    assert factory.ceremony(limited).code == 0
    certificate = x509.load_pem_x509_certificate((factory.authorities / "line-a.pem").read_bytes())
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.DNSName("gw.iot-dev.example.com")]
    assert [row["result"] for row in factory.ceremony(limited).json["authorities"]] == ["kept", "kept"]
    assert factory.ceremony().code == 2, "a limit that is taken out of the file stands in the certificate all the same"


def test_a_held_key_of_another_algorithm_than_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RefusedError, match=r"authorities\.line-a\.algorithm: is ecdsa-p256-sha256, and the key that is"
    ):
        hold_in(tmp_path, kms_ceremony(), ec.generate_private_key(ec.SECP384R1()).public_key())
    assert not (tmp_path / "factory").exists()


def test_stations_do_not_stand_below_a_root_that_was_made_without_them(tmp_path: Path) -> None:
    hold_in(tmp_path, kms_ceremony(), p256().public_key())
    folder = tmp_path / "factory"
    root = x509.load_pem_x509_certificate((folder / "root.pem").read_bytes())
    key = read_authority_key(folder / "root.key.pem", PASSPHRASE.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    old = x509.CertificateBuilder(
        issuer_name=root.issuer,
        subject_name=root.subject,
        public_key=key.public_key(),
        serial_number=root.serial_number,
        not_valid_before=root.not_valid_before_utc,
        not_valid_after=root.not_valid_after_utc,
    ).add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    (folder / "root.pem").write_bytes(old.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    (tmp_path / "authorities" / "line-a.pem").unlink()
    with pytest.raises(RefusedError, match="lets 1 authorities stand below each other, and the stations need 2"):
        hold_in(tmp_path, kms_ceremony(path_length=1), p256().public_key())


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="has 6 characters; use at least 15"):
        hold_in(tmp_path, kms_ceremony(), p256().public_key(), "secret")


def test_a_wrong_passphrase_signs_nothing(tmp_path: Path) -> None:
    key = p256().public_key()
    hold_in(tmp_path, kms_ceremony(), key)
    (tmp_path / "authorities" / "line-a.pem").unlink()
    with pytest.raises(StationError, match="the passphrase is wrong"):
        hold_in(tmp_path, kms_ceremony(), key, PASSPHRASE + "!")


def test_when_all_stands_neither_root_key_nor_passphrase_is_needed(tmp_path: Path) -> None:
    key = p256().public_key()
    hold_in(tmp_path, kms_ceremony(), key)
    (tmp_path / "factory" / "root.key.pem").unlink()
    kept = hold_in(tmp_path, kms_ceremony(), key, "")
    assert [made.is_new for made in kept] == [False, False]


def test_without_the_roots_key_no_authority_is_added(tmp_path: Path) -> None:
    key = p256().public_key()
    hold_in(tmp_path, kms_ceremony(), key)
    (tmp_path / "factory" / "root.key.pem").unlink()
    (tmp_path / "authorities" / "line-a.pem").unlink()
    with pytest.raises(StationError, match="the root's key is not here"):
        hold_in(tmp_path, kms_ceremony(), key)


def test_a_kms_key_that_changed_under_a_standing_certificate_is_refused(tmp_path: Path) -> None:
    hold_in(tmp_path, kms_ceremony(), p256().public_key())
    with pytest.raises(RefusedError, match=r"line-a\.key: the certificate that stands belongs to another key"):
        hold_in(tmp_path, kms_ceremony(), p256().public_key())


@pytest.mark.parametrize("path", ["missing.yaml", "."])
def test_a_ceremony_file_that_cannot_be_read_is_told_without_a_traceback(path: str, tmp_path: Path) -> None:
    held = provisioning("ceremony", tmp_path / path, "--factory", tmp_path / "f", "--out", tmp_path / "o")
    assert held.code == 2
    assert "cannot be read" in held.err
