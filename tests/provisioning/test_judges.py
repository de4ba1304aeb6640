"""Every kind of certificate we make, before four judges that others wrote: OpenSSL, GnuTLS, pkilint and `cryptography`.

What none of them sees, a certificate that outlives its issuer, ends in 9999 or counts its serial numbers, is asserted
here as well.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store

from protocol.device_id import DeviceId
from provisioning.algorithm import Algorithm, KeyType, public_key_der
from provisioning.alternative_name import AlternativeName, HardwareModule, HostName
from provisioning.birth import BirthTemplate
from provisioning.certify import certify, signed, to_be_signed
from provisioning.file_signer import FileSigner
from provisioning.profile import (
    Validity,
    authority_name,
    gateway_authority_builder,
    gateway_builder,
    issuing_builder,
    root_builder,
    station_builder,
    years,
)
from provisioning.serials import serials_of

NOW = datetime.now(UTC).replace(microsecond=0)
DOMAIN = "iot-dev.example.com"
DEVICE = DeviceId("0123456789abcdef-line-a-fl100")
LINT = Path(sys.executable).parent / "lint_pkix_cert"
new_serial = serials_of("0a")


@dataclass(frozen=True, kw_only=True)
class Chain:
    """From the root to the leaf, and the purpose the leaf is for."""

    certificates: tuple[x509.Certificate, ...]
    purpose: str = "sslclient"

    def pem(self, *, of: slice = slice(None)) -> bytes:
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.certificates[of])


@cache
def signer(label: str, algorithm: Algorithm) -> FileSigner:
    return FileSigner(algorithm.key_type.generate())


@cache
def root(algorithm: Algorithm) -> x509.Certificate:
    key = signer("root", algorithm)
    builder = root_builder(
        name=authority_name(f"Root {algorithm}", "Flotilla"),
        public_key=key.public_key(),
        validity=Validity.lasting(years(30), now=NOW),
        serial=new_serial(),
    )
    return certify(to_be_signed(builder, algorithm), key)


@cache
def line(algorithm: Algorithm, path_length: int = 0, domain: str | None = None) -> x509.Certificate:
    builder = issuing_builder(
        name=authority_name(f"Line {algorithm} {path_length} {domain or ''}".strip(), "Flotilla"),
        public_key=signer(f"line {path_length}", algorithm).public_key(),
        path_length=path_length,
        issuer=root(algorithm),
        validity=Validity.lasting(years(20), now=NOW),
        serial=new_serial(),
        domain=domain,
    )
    return certify(to_be_signed(builder, algorithm), signer("root", algorithm))


@cache
def station(algorithm: Algorithm) -> x509.Certificate:
    builder = station_builder(
        name=authority_name("Station night-1", "Flotilla"),
        public_key=signer("station", algorithm).public_key(),
        signs=Validity.lasting(timedelta(days=90), now=NOW),
        issuer=line(algorithm, 1),
        validity=Validity.lasting(years(17), now=NOW),
        serial=new_serial(),
    )
    return certify(to_be_signed(builder, algorithm), signer("line 1", algorithm))


def device(
    issuer: x509.Certificate, key: FileSigner, key_type: KeyType, name: AlternativeName | None = None
) -> x509.Certificate:
    tbs = BirthTemplate.of("line-a", issuer).to_be_signed(
        device=DEVICE,
        key_type=key_type,
        spki=public_key_der(key_type.generate().public_key()),
        validity=Validity.lasting(years(15), now=NOW),
        serial=new_serial(),
        alternative_name=name,
    )
    return x509.load_der_x509_certificate(signed(tbs, key))


def of_line(
    key_type: KeyType, algorithm: Algorithm, name: AlternativeName | None = None, domain: str | None = None
) -> Chain:
    issuer = line(algorithm, domain=domain)
    leaf = device(issuer, signer("line 0", algorithm), key_type, name)
    return Chain(certificates=(root(algorithm), issuer, leaf))


def of_station() -> Chain:
    algorithm = Algorithm.ECDSA_P256_SHA256
    leaf = device(station(algorithm), signer("station", algorithm), KeyType.P256)
    return Chain(certificates=(root(algorithm), line(algorithm, 1), station(algorithm), leaf))


def of_gateway() -> Chain:
    algorithm = Algorithm.ECDSA_P256_SHA256
    key = signer("gateway", algorithm)
    authority = certify(
        to_be_signed(
            gateway_authority_builder(
                name=authority_name("Gateway CA", "Flotilla"),
                public_key=key.public_key(),
                domain=DOMAIN,
                validity=Validity.lasting(years(20), now=NOW),
                serial=new_serial(),
            )
        ),
        key,
    )
    leaf = gateway_builder(
        device=DEVICE,
        domain=DOMAIN,
        public_key=KeyType.P256.generate().public_key(),
        issuer=authority,
        validity=Validity.lasting(timedelta(days=1), now=NOW),
        serial=new_serial(),
    )
    return Chain(certificates=(authority, certify(to_be_signed(leaf), key)), purpose="sslserver")


P256, P384, RSA = Algorithm.ECDSA_P256_SHA256, Algorithm.ECDSA_P384_SHA384, Algorithm.RSA_2048_SHA256
KINDS: Mapping[str, Callable[[], Chain]] = {
    "a P-256 device": lambda: of_line(KeyType.P256, P256),
    "a P-384 device": lambda: of_line(KeyType.P384, P256),
    "an RSA device": lambda: of_line(KeyType.RSA_2048, P256),
    "a device with the name of its hardware": lambda: of_line(
        KeyType.P256, P256, HardwareModule("1.3.6.1.4.1.32473.1.100")
    ),
    "a device with a host name": lambda: of_line(KeyType.P256, P256, HostName(DOMAIN)),
    "a device of a line limited to device hosts": lambda: of_line(KeyType.P256, P256, HostName(DOMAIN), DOMAIN),
    "a device with another name of such a line": lambda: of_line(
        KeyType.P256, P256, HardwareModule("1.3.6.1.4.1.32473.1"), DOMAIN
    ),
    "a device of a P-384 line": lambda: of_line(KeyType.P256, P384),
    "a device of an RSA line": lambda: of_line(KeyType.RSA_2048, RSA),
    "a device of a station": of_station,
    "a gateway": of_gateway,
}


@pytest.fixture(scope="module", params=KINDS)
def chain(request: pytest.FixtureRequest) -> Chain:
    return KINDS[request.param]()


def judged(*command: str | Path, warnings: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONWARNINGS": warnings, "PATH": "/usr/bin"}
    )


@pytest.mark.judge
def test_openssl_accepts_it_under_its_strict_rules_and_for_its_purpose_alone(chain: Chain, tmp_path: Path) -> None:
    for name, of in (("root", slice(1)), ("shown", slice(1, None)), ("leaf", slice(-1, None))):
        (tmp_path / name).write_bytes(chain.pem(of=of))
    verify: list[str | Path] = [
        "openssl",
        "verify",
        "-x509_strict",
        "-CAfile",
        tmp_path / "root",
        "-untrusted",
        tmp_path / "shown",
    ]
    accepted = judged(*verify, "-purpose", chain.purpose, tmp_path / "leaf")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    other = {"sslclient": "sslserver", "sslserver": "sslclient"}[chain.purpose]
    assert judged(*verify, "-purpose", other, tmp_path / "leaf").returncode != 0, f"it is not for {other}"


@pytest.mark.judge
def test_gnutls_accepts_it(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "root").write_bytes(chain.pem(of=slice(1)))
    (tmp_path / "chain").write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in reversed(chain.certificates[1:])))
    purpose = {"sslclient": "1.3.6.1.5.5.7.3.2", "sslserver": "1.3.6.1.5.5.7.3.1"}[chain.purpose]
    verify: list[str | Path] = [
        "certtool",
        "--verify",
        "--load-ca-certificate",
        tmp_path / "root",
        "--infile",
        tmp_path / "chain",
    ]
    accepted = judged(*verify, "--verify-profile", "medium", "--verify-purpose", purpose)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert "Chain verification output: Verified" in accepted.stdout


@pytest.mark.judge
def test_pkilint_has_neither_error_nor_warning_for_any_certificate_of_it(chain: Chain, tmp_path: Path) -> None:
    for index, certificate in enumerate(chain.certificates):
        path = tmp_path / f"{index}.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        said = judged(LINT, "lint", "-s", "WARNING", path)
        assert (said.returncode, said.stdout.strip(), said.stderr.strip()) == (0, "", "")


def test_the_verifier_of_cryptography_accepts_it(chain: Chain) -> None:
    top, *between, leaf = chain.certificates
    policy = PolicyBuilder().store(Store([top])).time(NOW)
    if chain.purpose == "sslserver":
        served = x509.DNSName(f"{DEVICE}.gw.{DOMAIN}")
        assert policy.build_server_verifier(served).verify(leaf, between)
        return
    # Its default for devices of the web wants an alternative name; what ours are for, OpenSSL and GnuTLS are asked.
    policy = policy.extension_policies(
        ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
    ).max_chain_depth(2)
    assert len(policy.build_client_verifier().verify(leaf, between).chain) == len(chain.certificates)


def test_what_no_judge_sees_holds_too(chain: Chain) -> None:
    for issuer, certificate in zip(chain.certificates, chain.certificates[1:], strict=False):
        assert Validity.of(certificate).lies_within(Validity.of(issuer)), "it does not outlive its issuer"
        assert certificate.not_valid_after_utc < issuer.not_valid_after_utc
    for certificate in chain.certificates:
        assert certificate.not_valid_after_utc.year < 2100
        assert f"{certificate.serial_number:040x}".startswith("0a"), "its serial number is of its issuer's range"
    serials = [certificate.serial_number for certificate in chain.certificates]
    assert len(set(serials)) == len(serials)


def test_a_stations_lease_stands_in_its_certificate_and_its_life_is_longer() -> None:
    made = station(Algorithm.ECDSA_P256_SHA256)
    lease = made.extensions.get_extension_for_class(x509.PrivateKeyUsagePeriod).value
    assert lease.not_before is not None
    assert lease.not_after is not None
    assert lease.not_after - lease.not_before < timedelta(days=91)
    assert Validity.of(made).lifetime > years(15) + timedelta(days=90), "devices of its last day keep their chain"
