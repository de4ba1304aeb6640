"""AWS IoT verifies a device against its direct issuer: a station, or a vendor of secure elements.

Both are registered by the program like any authority, and their devices are admitted by the manifest; here on the
embedded cloud.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.aws_environment import aws_environment
from local.desk import claim_desk, remove_desk
from local.up import bring_up
from protocol.bundle import CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE
from tests.e2e.world import World
from tests.provisioning.factory import Finished, provisioning
from tests.provisioning.requests import csr, name, p256
from tests.provisioning.stack_files import with_authorities
from tests.provisioning.test_stations import Bench
from tests.provisioning.token import SoftToken
from tests.provisioning.vendors import Vendor

pytestmark = pytest.mark.cloud

SERIAL = "0123f2408ea1fcf201"


@dataclass(frozen=True)
class Site:
    """A deployed environment that knows a station and a vendor."""

    world: World
    bench: Bench
    vendor: Vendor

    @property
    def variables(self) -> dict[str, str]:
        return dict(aws_environment(self.world.deployment.record))

    def sync(self, factory: Path) -> Finished:
        return provisioning(
            *("sync", "--stack", "dev", "--outputs", self.world.home / "outputs.json", "--factory", factory, "--json"),
            variables=self.variables,
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, token: SoftToken) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("site")
    vendor = Vendor()
    with pytest.MonkeyPatch.context() as patch:
        with_authorities(
            patch,
            home / "stacks",
            line_s="key: file, common_name: Line S",
            bench_s_1="key: pkcs11, common_name: Bench S 1",
            elements="key: vendor, common_name: Crypto Authentication Signer 2A00",
        )
        bench = Bench(home, token)
        desk = home / "desk"
        claim_desk(desk, "dev")
        bench.authorities = desk / "authorities"
        for told in (bench.ceremony(), bench.request(), bench.certify()):
            assert told.code == 0, told.err
        (bench.authorities / "elements.pem").write_bytes(vendor.signer.public_bytes(Encoding.PEM))
        try:
            yield Site(World(bring_up("dev", desk)), bench, vendor)
        finally:
            remove_desk(desk)


def test_a_device_of_a_station_is_admitted_by_the_manifest(site: Site) -> None:
    folder = site.world.home / "devices" / "of-station"
    folder.mkdir(parents=True)
    key = p256()
    (folder / KEY_FILE).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    request = site.bench.home / "of-station.csr.pem"
    request.write_bytes(csr(key))
    issued = site.bench.call(
        *("issue", "--device", "of-station", "--model", "fl100", "--authority", "bench-s-1", "--csr", request),
        *("--authorities", site.bench.authorities, "--out", folder),
        *("--trust-anchors", site.world.home / "trust-anchors.pem"),
    )
    assert issued.code == 0, issued.err
    told = site.sync(site.bench.station)
    assert told.code == 0, told.err
    with site.world.connected("of-station") as connection:
        assert connection.is_open
    thing = site.world.client("iot", "eu1").describe_thing(thingName="of-station")
    assert thing["attributes"]["authority"] == "bench-s-1"


def test_a_secure_element_is_admitted_under_the_name_that_it_was_taken_in_with(site: Site) -> None:
    key = p256()
    subject = name(ORGANIZATION_NAME="Microchip Technology Inc", COMMON_NAME=f"sn{SERIAL.upper()}")
    certificate = site.vendor.certificate(subject, key.public_key())
    manifest = site.bench.home / "manifest.json"
    manifest.write_text(
        json.dumps([site.vendor.signed(site.vendor.payload(SERIAL, key.public_key(), certificate))]), encoding="utf-8"
    )
    signer = site.bench.home / "signer.pem"
    signer.write_bytes(site.vendor.manifest_signer.public_bytes(Encoding.PEM))
    office = site.bench.office.folder
    taken_in = provisioning(
        *("import-elements", manifest, "--kind", "microchip", "--stack", "dev", "--model", "fl100", "--apply"),
        *("--authority", "elements", "--factory", office, "--authorities", site.bench.authorities),
        *("--manifest-signer", signer, "--device-id", "fl100-{serial}", "--json"),
    )
    assert taken_in.code == 0, taken_in.err
    device = f"fl100-{SERIAL}"
    folder = site.world.home / "devices" / device
    folder.mkdir(parents=True)
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in (certificate, site.vendor.signer))
    (folder / CHAIN_FILE).write_bytes(chain)
    (folder / KEY_FILE).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / TRUST_ANCHORS_FILE).write_bytes((site.world.home / "trust-anchors.pem").read_bytes())
    assert site.sync(office).code == 0
    with site.world.connected(device) as connection:
        assert connection.is_open
    assert site.world.certificate_status(device, "eu1") == "ACTIVE"
