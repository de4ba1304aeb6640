"""The authority of gateways: what it may vouch for, as three independent verifiers see it, and what it may never."""

import ipaddress
import re
import shutil
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from protocol.device_id import DeviceId
from provisioning.ceremony import Room, hold
from provisioning.certify import certify, to_be_signed
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile
from provisioning.file_signer import FileSigner
from provisioning.key_file import read_authority_key
from provisioning.passphrase import given_passphrase, read_kept_passphrase
from provisioning.profile import Validity, gateway_builder
from provisioning.trust_anchors import AMAZON_ROOTS
from tests.provisioning.factory import CEREMONY, Factory
from tests.provisioning.requests import p256

DOMAIN = "iot-dev.example.com"
GATEWAY = "gateway: { common_name: Flotilla Dev Gateway CA, key: file, lifetime_years: 20 }\n"
DEVICE = DeviceId("device1")
HOST = f"device1.gw.{DOMAIN}"
LINT = Path(sys.executable).parent / "lint_pkix_cert"
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory whose ceremony made the authority of gateways too."""
    factory = Factory(tmp_path_factory.mktemp("gateway"))
    held = factory.ceremony(CEREMONY + GATEWAY)
    assert held.code == 0, held.err
    assert [row["authority"] for row in held.json["authorities"]] == ["root", "line-a", "gateway"]
    return factory


def authority(factory: Factory) -> x509.Certificate:
    return x509.load_pem_x509_certificate((factory.authorities / "gateway.pem").read_bytes())


def signer(factory: Factory, name: str = "gateway") -> FileSigner:
    return FileSigner(read_authority_key(factory.folder / f"{name}.key.pem", read_kept_passphrase(factory.folder)))


def server(factory: Factory, *, days: int = 1) -> x509.Certificate:
    builder = gateway_builder(
        device=DEVICE,
        domain=DOMAIN,
        public_key=p256().public_key(),
        issuer=authority(factory),
        validity=Validity.lasting(timedelta(days=days), now=NOW),
        serial=x509.random_serial_number(),
    )
    return certify(to_be_signed(builder), signer(factory))


def forged(
    issuer: x509.Certificate,
    signed_by: FileSigner,
    name: x509.GeneralName,
    *,
    key: ec.EllipticCurvePrivateKey | None = None,
    is_authority: bool = False,
) -> x509.Certificate:
    """What a thief of a key would sign: any name."""
    public_key = (key or p256()).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "thief")]))
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    return certify(to_be_signed(builder), signed_by)


def pem(path: Path, *certificates: x509.Certificate) -> Path:
    path.write_bytes(b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates))
    return path


def openssl_trusts(
    certificate: x509.Certificate, anchor: x509.Certificate, name: str, folder: Path, *untrusted: x509.Certificate
) -> bool:
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", name]
    command += ["-CAfile", str(pem(folder / "anchor.pem", anchor)), "-no-CApath", "-no-CAstore"]
    if untrusted:
        command += ["-untrusted", str(pem(folder / "untrusted.pem", *untrusted))]
    judged = subprocess.run(
        [*command, str(pem(folder / "server.pem", certificate))], capture_output=True, text=True, check=False
    )
    return judged.returncode == 0


def cryptography_trusts(certificate: x509.Certificate, anchor: x509.Certificate, name: str) -> bool:
    verifier = PolicyBuilder().store(Store([anchor])).time(NOW).build_server_verifier(x509.DNSName(name))
    try:
        verifier.verify(certificate, [])
    except VerificationError:
        return False
    return True


@pytest.mark.judge
def test_a_gateways_certificate_is_trusted_for_its_device_and_for_no_other_name(ready: Factory, tmp_path: Path) -> None:
    anchor, leaf = authority(ready), server(ready)
    assert openssl_trusts(leaf, anchor, HOST, tmp_path)
    assert cryptography_trusts(leaf, anchor, HOST)
    for other in (f"device2.gw.{DOMAIN}", f"x.{HOST}", f"gw.{DOMAIN}", f"eu1.clusters.{DOMAIN}"):
        assert not openssl_trusts(leaf, anchor, other, tmp_path), other
        assert not cryptography_trusts(leaf, anchor, other), other


@pytest.mark.judge
@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName(f"eu1.clusters.{DOMAIN}"),
        x509.DNSName(f"default.{DOMAIN}"),
        x509.DNSName("device1.gw.example.org"),
        x509.DNSName(f"device1.xgw.{DOMAIN}"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.100")),
    ],
    ids=lambda name: str(name.value),
)
def test_whoever_steals_the_gateways_key_is_still_no_cluster_and_nobody_elses_host(
    name: x509.GeneralName, ready: Factory, tmp_path: Path
) -> None:
    anchor = authority(ready)
    leaf = forged(anchor, signer(ready), name)
    path = pem(tmp_path / "leaf.pem", leaf)
    command = ["openssl", "verify", "-purpose", "sslserver", "-CAfile", str(pem(tmp_path / "anchor.pem", anchor))]
    judged = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert judged.returncode != 0
    assert "subtree violation" in judged.stdout + judged.stderr
    assert not isinstance(name, x509.DNSName) or not cryptography_trusts(leaf, anchor, name.value)


@pytest.mark.judge
def test_a_stolen_line_makes_no_gateway_and_no_cluster(ready: Factory, tmp_path: Path) -> None:
    line = x509.load_pem_x509_certificate((ready.authorities / "line-a.pem").read_bytes())
    root = x509.load_pem_x509_certificate((ready.folder / "root.pem").read_bytes())
    for name in (HOST, f"eu1.clusters.{DOMAIN}"):
        leaf = forged(line, signer(ready, "line-a"), x509.DNSName(name))
        assert not openssl_trusts(leaf, authority(ready), name, tmp_path, line, root), (
            "no anchor of a device leads there"
        )


@pytest.mark.judge
def test_no_authority_stands_below_the_gateways(ready: Factory, tmp_path: Path) -> None:
    key = p256()
    sub = forged(authority(ready), signer(ready), x509.DNSName(HOST), key=key, is_authority=True)
    below = forged(sub, FileSigner(key), x509.DNSName(HOST))
    assert not openssl_trusts(below, authority(ready), HOST, tmp_path, sub)
    basic = authority(ready).extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)


@pytest.mark.judge
@pytest.mark.parametrize("which", ["authority", "server"])
def test_pkilint_has_neither_error_nor_warning(which: str, ready: Factory, tmp_path: Path) -> None:
    path = pem(tmp_path / "certificate.pem", authority(ready) if which == "authority" else server(ready))
    judged = subprocess.run(
        [LINT, "lint", "-s", "WARNING", path], capture_output=True, text=True, check=False, env={"PYTHONWARNINGS": ""}
    )
    assert (judged.returncode, judged.stdout.strip(), judged.stderr.strip()) == (0, "", "")


def test_the_authority_says_itself_what_it_is_for(ready: Factory) -> None:
    certificate = authority(ready)
    names = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert names.critical, "who does not understand it must refuse the whole (RFC 5280, 4.2.1.10)"
    assert names.value.permitted_subtrees == [x509.DNSName(f"gw.{DOMAIN}")]
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert certificate.subject == certificate.issuer, "a root of its own: nothing of the fleet's root stands above it"


def test_every_new_bundle_trusts_the_gateways_beside_the_servers(ready: Factory, tmp_path: Path) -> None:
    factory = Factory(tmp_path)
    shutil.copytree(ready.home, tmp_path, dirs_exist_ok=True)
    assert factory.issue("device1").code == 0
    anchors = factory.device("device1") / "trust-anchors.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(anchors)
    names = re.findall(r"'commonName', '([^']+)'", str([anchor["subject"] for anchor in context.get_ca_certs()]))
    assert sorted(names) == sorted([*AMAZON_ROOTS, "Flotilla Dev Gateway CA"]), "and nothing else of ours"
    assert anchors.read_bytes().endswith(authority(factory).public_bytes(Encoding.PEM))


def test_no_device_is_issued_by_the_gateways(ready: Factory) -> None:
    done = ready.issue("device9", authority="gateway")
    assert done.code == 2
    assert "has no authority 'gateway'" in done.err


def test_a_rerun_keeps_the_authority_and_another_ones_certificate_is_refused(ready: Factory, tmp_path: Path) -> None:
    factory = Factory(tmp_path)
    shutil.copytree(ready.home, tmp_path, dirs_exist_ok=True)
    assert [row["result"] for row in factory.ceremony(CEREMONY + GATEWAY).json["authorities"]] == ["kept"] * 3
    longer = factory.ceremony(CEREMONY + GATEWAY.replace("20", "21"))
    assert (longer.code, "gateway.lifetime_years" in longer.err) == (2, True)
    shutil.copy(factory.authorities / "line-a.pem", factory.authorities / "gateway.pem")
    assert factory.ceremony(CEREMONY + GATEWAY).code == 2


def test_outside_dev_the_gateways_key_is_in_kms_and_signs_itself_there(tmp_path: Path) -> None:
    key: ec.EllipticCurvePrivateKey = p256()
    document = {
        "environment": "staging",
        "root": {"common_name": "R", "organization": "O", "key": "file", "lifetime_years": 30},
        "authorities": {"line-a": {"common_name": "L", "key": "kms", "lifetime_years": 20, "path_length": 0}},
        "lines": {"bench": {"authority": "line-a", "models": ["fl50"]}},
        "models": {"fl50": {"lifetime_years": 15}},
        "gateway": {"common_name": "G", "key": "kms", "lifetime_years": 20},
    }
    room = Room(
        factory=tmp_path / "factory",
        out=tmp_path / "authorities",
        root_passphrase=given_passphrase(lambda: "correct horse battery staple"),
        held_keys={"line-a": p256().public_key()},
        domain=DOMAIN,
        gateway_signer=FileSigner(key),
        now=NOW,
        new_serial=x509.random_serial_number,
    )
    made = hold(FactoryFile.model_validate(document), room)[-1]
    assert made.certificate.public_key() == key.public_key()
    assert not list((tmp_path / "factory").glob("gateway*")), "no key of it was ever in a file"
    other = Room(**{**room.__dict__, "gateway_signer": FileSigner(p256())})
    with pytest.raises(RefusedError, match=r"gateway\.key: the certificate that stands belongs to another key"):
        hold(FactoryFile.model_validate(document), other)


def test_outside_dev_the_gateways_key_may_not_be_a_file(tmp_path: Path) -> None:
    held = Factory(tmp_path).ceremony(CEREMONY.replace("environment: dev", "environment: staging") + GATEWAY)
    assert held.code == 2
    assert "gateway.key" in held.err
    assert "a signing key in a file is for dev only" in held.err
