"""The same contract for every kind of signer: a file, AWS KMS on the embedded cloud, and PKCS#11 on SoftHSM2."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pkcs11
import pytest
from botocore.stub import Stubber
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from provisioning.algorithm import Algorithm, KeyType
from provisioning.certify import certify, to_be_signed
from provisioning.errors import CloudError, RefusedError, StationError
from provisioning.file_signer import FileSigner
from provisioning.hsm import HSM_FILE, Hsm, read_pin
from provisioning.key_file import make_or_read_authority_key, read_authority_key
from provisioning.kms_signer import KmsSigner
from provisioning.pkcs11_signer import Pkcs11Signer, make_or_find_key
from provisioning.profile import Validity, authority_name, root_builder, years
from provisioning.signer import Signer
from stacks.errors import StackError
from tests.provisioning.connected import Connected
from tests.provisioning.token import MODULE, PIN, SoftToken

pytestmark = pytest.mark.cloud
KINDS = ["file", "kms", "pkcs11"]
PASSPHRASE = b"a passphrase of a test"
LABEL = "line-a"
NOW = datetime.now(UTC)

Make = Callable[[KeyType], Signer]


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path, connected: Connected, token: SoftToken) -> Make:
    """Makes a signer of one kind with a new key, and opens it as a station would."""

    def in_file(key_type: KeyType) -> Signer:
        path = tmp_path / f"{key_type}.key.pem"
        make_or_read_authority_key(path, PASSPHRASE, key_type)
        return FileSigner(read_authority_key(path, PASSPHRASE, key_type))

    def in_kms(key_type: KeyType) -> Signer:
        kms = connected.client("kms", "eu-north-1")
        spec = next(each.facts.kms_key_spec for each in Algorithm if each.key_type is key_type)
        arn = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        return KmsSigner.of(kms, arn)

    def in_token(key_type: KeyType) -> Signer:
        label = f"{tmp_path.name}-{key_type}"
        make_or_find_key(token.hsm, label, key_type)
        return Pkcs11Signer.of(token.hsm, label)

    return {"file": in_file, "kms": in_kms, "pkcs11": in_token}[request.param]


@pytest.mark.parametrize("make", KINDS, indirect=True)
@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_signer_signs_with_every_algorithm_so_that_its_public_key_verifies(
    make: Make, algorithm: Algorithm
) -> None:
    signer = make(algorithm.key_type)
    assert Algorithm.of(signer.public_key()) is algorithm
    for message in (b"", b"a certificate", bytes(100_000)):
        signature = signer.sign(message)
        assert algorithm.is_signature(signature, message, signer.public_key())
        assert not algorithm.is_signature(signature, message + b".", signer.public_key())


@pytest.mark.parametrize("make", KINDS, indirect=True)
@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_signer_makes_certificates_that_openssl_accepts(make: Make, algorithm: Algorithm, tmp_path: Path) -> None:
    signer = make(algorithm.key_type)
    builder = root_builder(
        name=authority_name(f"Test {algorithm}", "Test Fleet"),
        public_key=signer.public_key(),
        validity=Validity.lasting(years(20), now=NOW),
        serial=x509.random_serial_number(),
    )
    path = tmp_path / "ca.pem"
    path.write_bytes(certify(to_be_signed(builder, algorithm), signer).public_bytes(Encoding.PEM))
    judged = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", path, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_no_signer_shows_its_key(make: Make, tmp_path: Path) -> None:
    signer = make(KeyType.P256)
    shown = f"{signer} {signer!r}"
    assert "PRIVATE" not in shown
    assert PIN not in shown
    assert not any("private" in name for name in dir(signer) if not name.startswith("_"))
    for path in tmp_path.glob("*.key.pem"):
        assert path.stat().st_mode & 0o077 == 0, "only its owner reads a key file"
        assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()


def test_a_key_that_is_not_there_is_told_by_every_kind(connected: Connected, token: SoftToken, tmp_path: Path) -> None:
    with pytest.raises(StationError, match="restore the key of this factory"):
        read_authority_key(tmp_path / "line-a.key.pem", PASSPHRASE)
    with pytest.raises(CloudError, match="kms:GetPublicKey of alias/nothing"):
        KmsSigner.of(connected.client("kms", "eu-north-1"), "alias/nothing")
    with pytest.raises(StationError, match="has 0 private keys called nothing, not one"):
        Pkcs11Signer.of(token.hsm, "nothing")


def test_a_key_of_another_type_or_use_is_refused_by_every_kind(
    connected: Connected, token: SoftToken, tmp_path: Path
) -> None:
    path = tmp_path / "line-a.key.pem"
    make_or_read_authority_key(path, PASSPHRASE, KeyType.P256)
    with pytest.raises(StationError, match="is a key of ecdsa-p256, and not of ecdsa-p384"):
        read_authority_key(path, PASSPHRASE, KeyType.P384)
    kms = connected.client("kms", "eu-north-1")
    arn = kms.create_key(KeySpec="RSA_4096", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    with pytest.raises(RefusedError, match="is a key of none of these specs"):
        KmsSigner.of(kms, arn)
    make_or_find_key(token.hsm, "one-type", KeyType.P256)
    with pytest.raises(RefusedError, match="key one-type is of type ecdsa-p256, and ecdsa-p384 is wanted"):
        make_or_find_key(token.hsm, "one-type", KeyType.P384)


SIGNING = """
import json, sys
from pathlib import Path
kind, first, second, count = sys.argv[1:]
secret = sys.stdin.readline().strip()
if kind == "file":
    from provisioning.file_signer import FileSigner
    from provisioning.key_file import read_authority_key
    signer = FileSigner(read_authority_key(Path(first), secret.encode()))
elif kind == "kms":
    from provisioning.cloud import Cloud
    from provisioning.kms_signer import KmsSigner
    signer = KmsSigner.of(Cloud.from_environment().kms(first), second)
else:
    from provisioning.hsm import Hsm
    from provisioning.pkcs11_signer import Pkcs11Signer
    module, token = first.split("|")
    signer = Pkcs11Signer.of(Hsm(module=Path(module), token=token, pin=lambda: secret), second)
print(json.dumps([signer.sign(f"{number}".encode()).hex() for number in range(int(count))]))
"""
SIGNED_BY_EACH = 50


@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_two_processes_sign_with_one_key_at_once(
    make: Make, connected: Connected, token: SoftToken, tmp_path: Path
) -> None:
    signer = make(KeyType.P256)
    match signer:
        case KmsSigner():
            words, secret = ("kms", "eu-north-1", signer.key_arn), ""
        case Pkcs11Signer():
            words, secret = ("pkcs11", f"{MODULE}|{token.label}", signer.label), PIN
        case _:
            words, secret = ("file", str(tmp_path / f"{KeyType.P256}.key.pem"), ""), PASSPHRASE.decode()
    command = [sys.executable, "-c", SIGNING, *words, str(SIGNED_BY_EACH)]
    variables = {**os.environ, **connected.variables, **token.variables}
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables)
        for _ in range(2)
    ]
    told = [process.communicate(secret + "\n", timeout=60)[0] for process in processes]
    for signatures in map(json.loads, told):
        assert len(signatures) == SIGNED_BY_EACH
        for number, signature in enumerate(signatures):
            message = f"{number}".encode()
            assert Algorithm.ECDSA_P256_SHA256.is_signature(bytes.fromhex(signature), message, signer.public_key())


def test_credentials_that_expired_and_an_answer_without_a_signature_are_told(connected: Connected) -> None:
    kms = connected.client("kms", "eu-north-1")
    arn = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    signer = KmsSigner.of(kms, arn)
    with Stubber(kms) as stub:
        stub.add_client_error("sign", "ExpiredTokenException", "The security token included in the request is expired")
        with pytest.raises(CloudError, match=r"kms:Sign with .*expired; check credentials"):
            signer.sign(b"a certificate")
        stub.add_response("sign", {"KeyId": arn})
        with pytest.raises(CloudError, match="answered without a signature; try again"):
            signer.sign(b"a certificate")
    assert signer.sign(b"a certificate"), "and with new ones it goes on"


def test_a_session_that_was_lost_is_opened_again_and_a_token_that_is_gone_is_told(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    signer = make_or_find_key(token.hsm, "lost-session", KeyType.P256)
    token.forget()
    signature = signer.sign(b"after the token was pulled and put back")
    assert Algorithm.ECDSA_P256_SHA256.is_signature(
        signature, b"after the token was pulled and put back", signer.public_key()
    )
    empty = SoftToken(tmp_path / "other", label="another-token")
    empty.initialise()
    monkeypatch.setenv("SOFTHSM2_CONF", empty.variables["SOFTHSM2_CONF"])
    token.forget()
    with pytest.raises(StationError, match="token flotilla-test: is not there; plug it in"):
        signer.sign(b"after another token was put in")
    monkeypatch.undo()
    os.environ.update(token.variables)
    token.forget()
    assert signer.sign(b"and with the right one again")


def test_a_key_that_may_have_been_outside_the_token_is_refused(token: SoftToken) -> None:
    token.forget()
    with pkcs11.lib(str(MODULE)).get_token(token_label=token.label).open(rw=True, user_pin=PIN) as session:
        attributes = {pkcs11.Attribute.EXTRACTABLE: True, pkcs11.Attribute.SENSITIVE: False}
        curve = {pkcs11.Attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}
        session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True).generate_keypair(
            store=True, label="loose", private_template=attributes
        )
    with pytest.raises(RefusedError, match=r"may have been outside the token \(SENSITIVE, EXTRACTABLE"):
        Pkcs11Signer.of(token.hsm, "loose")


def test_a_key_that_stands_is_found_and_never_replaced(token: SoftToken) -> None:
    def spki(signer: Signer) -> bytes:
        return signer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    first = make_or_find_key(token.hsm, "made-once", KeyType.P256)
    assert spki(make_or_find_key(token.hsm, "made-once", KeyType.P256)) == spki(first)


def test_a_wrong_pin_is_told_before_the_token_locks_itself(token: SoftToken) -> None:
    token.forget()
    with pytest.raises(StationError, match="the PIN is wrong; correct it before the token locks itself"):
        Pkcs11Signer.of(Hsm(module=MODULE, token=token.label, pin=lambda: "wrong-pin"), "made-once")


def test_a_module_that_does_not_load_is_told(tmp_path: Path) -> None:
    with pytest.raises(StationError, match="is no PKCS#11 module that loads"):
        Pkcs11Signer.of(Hsm(module=tmp_path / "none.so", token=LABEL, pin=lambda: PIN), "line-a")


def test_the_pin_comes_from_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    with pytest.raises(StationError, match="the PIN cannot be read"):
        read_pin(path)
    path.touch(mode=0o600)
    path.write_text("987654\n")
    assert read_pin(path) == "987654"
    path.chmod(0o640)
    with pytest.raises(StationError, match="others may read this PIN"):
        read_pin(path)
    path.chmod(0o600)
    path.write_text("\n")
    with pytest.raises(StationError, match="holds no PIN"):
        read_pin(path)


def test_the_file_of_a_stations_hsm_is_checked_with_its_lines(tmp_path: Path) -> None:
    def never(prompt: str) -> str:
        raise AssertionError(prompt)

    with pytest.raises(RefusedError, match="write module, token and pin_file into it"):
        Hsm.read(tmp_path, never)
    (tmp_path / HSM_FILE).write_text("# to be filled in\n")
    with pytest.raises(StackError, match=r"hsm.yaml:1: this file is a mapping of keys; start it with `module:`"):
        Hsm.read(tmp_path, never)
    (tmp_path / HSM_FILE).write_text("module: /usr/lib/a.so\npin: 1234\n")
    with pytest.raises(StackError, match=r"(?s)hsm.yaml.*token.*provisioning/hsm.py says.*hsm.yaml:2.*pin.*pin_file"):
        Hsm.read(tmp_path, never)
    (tmp_path / HSM_FILE).write_text("module: /usr/lib/a.so\ntoken: line-a\n")
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return PIN

    hsm = Hsm.read(tmp_path, ask)
    assert (hsm.pin(), asked) == (PIN, ["PIN of token line-a"])
    assert PIN not in repr(hsm)
