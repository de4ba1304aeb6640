"""A deployed environment with its factory, as a person at a command line has it, and devices that connect to it."""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from device.enrolment import make_request
from device.link import ConnectionFailedError, Credentials, Message
from device.resolution import HostPort, resolve_route
from local.aws_environment import aws_environment
from local.deployment import Deployment
from local.desk import remove_desk
from local.program import PROJECT_ROOT
from local.up import bring_up
from protocol.bundle import CHAIN_FILE, KEY_FILE, MQTT_TLS_PORT, TRUST_ANCHORS_FILE
from protocol.device_id import parse_device_id
from protocol.hostnames import cluster_hostname, device_hostname
from provisioning.passphrase import PASSPHRASE_VARIABLE
from tests.device.line import Line, connect
from tests.local.stopped_schedule import stop_sweeping

PATIENCE_SECONDS = 60.0
"""How long anything that must happen may take on a busy machine."""
KNOCKS = 4
"""How often a device that must stay out tries; an admission takes one or two."""
KNOCK_EVERY_SECONDS = 1.5


@dataclass(frozen=True)
class World:
    """One environment, deployed, its authorities registered."""

    deployment: Deployment
    passphrase: str = field(default_factory=lambda: secrets.token_hex(16))
    """Opens the root's key, where no file beside it does."""

    @property
    def home(self) -> Path:
        return self.deployment.home

    @property
    def stack(self) -> str:
        return self.deployment.stack

    @property
    def domain(self) -> str:
        return self.deployment.outputs.domain

    @property
    def proxy(self) -> HostPort:
        return HostPort.parse(self.deployment.record.proxy, option="proxy")

    @property
    def resolver(self) -> HostPort:
        return HostPort.parse(self.deployment.record.dns, option="dns")

    def client(self, service: str, cluster: str | None = None) -> Any:
        """A plain boto3 client in a cluster's region, else the home region."""
        variables = aws_environment(self.deployment.record)
        region = self.deployment.outputs.clusters[cluster].region if cluster else self.deployment.outputs.home_region
        return boto3.client(  # type: ignore[call-overload]  # the service is a variable here
            service,
            region_name=region,
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def run(self, *arguments: str, succeeds: bool = True) -> str:
        """What a command of ours prints, run as a person would."""
        variables = os.environ | dict(aws_environment(self.deployment.record)) | {PASSPHRASE_VARIABLE: self.passphrase}
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, cwd=PROJECT_ROOT, env=variables, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is succeeds, done.stdout + done.stderr
        return done.stdout if succeeds else done.stderr

    def hold_ceremony(self) -> None:
        self.run(
            *("provisioning", "ceremony", f"stacks/factories/{self.stack}.yaml", "--factory", str(self._factory)),
            *("--out", str(self.home / "authorities"), "--outputs", str(self._outputs)),
        )

    def issue(self, device: str, authority: str, *, model: str = "fl100") -> Path:
        """The bundle of a new device, whose key was made in it. The clusters know nothing of it yet."""
        folder = self.home / "devices" / device
        request = make_request(parse_device_id(device), folder)
        self.run(
            *("provisioning", "issue", "--stack", self.stack, "--device", device, "--model", model),
            *("--authority", authority, "--csr", str(request), "--factory", str(self._factory)),
            *("--authorities", str(self.home / "authorities"), "--outputs", str(self._outputs)),
            *("--trust-anchors", str(self.home / "trust-anchors.pem"), "--out", str(folder)),
        )
        return folder

    def sync(self) -> None:
        self.run(
            *("provisioning", "sync", "--stack", self.stack),
            *("--outputs", str(self._outputs), "--factory", str(self._factory)),
        )

    def make_device(self, device: str, authority: str) -> Path:
        """A device the clusters will admit."""
        folder = self.issue(device, authority)
        self.sync()
        return folder

    def revoke(self, device: str) -> None:
        self.run(
            *("provisioning", "revoke", "--stack", self.stack, "--device", device, "--reason", "key-compromise"),
            *("--outputs", str(self._outputs), "--factory", str(self._factory)),
        )

    def route(self, device: str) -> str:
        """The server name the device's own name leads to now."""
        return asyncio.run(resolve_route(parse_device_id(device), self.domain, resolver=self.resolver)).server_name

    def knock(
        self, device: str, *, client_id: str | None = None, on_message: Callable[[Message], None] | None = None
    ) -> Line:
        """One attempt to connect, where the device's name leads; `ConnectionFailedError` if it is not let in."""
        folder = self.home / "devices" / device
        files = Credentials(folder / CHAIN_FILE, folder / KEY_FILE, folder / TRUST_ANCHORS_FILE)
        name = self.route(device)
        return connect(
            name, MQTT_TLS_PORT, files, client_id=client_id or device, proxy=self.proxy, on_message=on_message
        )

    @contextmanager
    def connected(self, device: str, *, on_message: Callable[[Message], None] | None = None) -> Iterator[Line]:
        """A device that is in; the first knock of a new identity is refused while it is admitted."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                connection = self.knock(device, on_message=on_message)
                break
            except ConnectionFailedError:
                assert time.monotonic() < deadline, f"{device} was never let in"
                time.sleep(KNOCK_EVERY_SECONDS)
        try:
            yield connection
        finally:
            connection.close()

    def stays_out(self, device: str, *, client_id: str | None = None) -> bool:
        """Whether the device is refused however often it knocks."""
        for _ in range(KNOCKS):
            try:
                self.knock(device, client_id=client_id).close()
            except ConnectionFailedError:
                time.sleep(KNOCK_EVERY_SECONDS)
            else:
                return False
        return True

    def certificate_status(self, device: str, cluster: str) -> str | None:
        """What a cluster says of the device's certificate; nothing if it does not know it."""
        fingerprint = self.fingerprint(device)
        iot = self.client("iot", cluster)
        try:
            return str(iot.describe_certificate(certificateId=fingerprint)["certificateDescription"]["status"])
        except iot.exceptions.ResourceNotFoundException:
            return None

    def fingerprint(self, device: str) -> str:
        """SHA-256 of the device certificate's DER: its id in every cluster."""
        chain = x509.load_pem_x509_certificates((self.home / "devices" / device / CHAIN_FILE).read_bytes())
        return chain[0].fingerprint(hashes.SHA256()).hex()

    def move(self, device: str, cluster: str) -> None:
        """Give the device a record of its own, by DNS alone."""
        record = {
            "Name": device_hostname(parse_device_id(device), self.domain),
            "Type": "CNAME",
            "TTL": 60,
            "ResourceRecords": [{"Value": cluster_hostname(cluster, self.domain)}],
        }
        self.client("route53").change_resource_record_sets(
            HostedZoneId=self.deployment.outputs.zone_id,
            ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]},
        )
        self.until(lambda: self.route(device) == cluster_hostname(cluster, self.domain))

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait, within reason, for something that must come true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            assert time.monotonic() < deadline
            time.sleep(0.2)

    @property
    def _factory(self) -> Path:
        return self.home / "factory"

    @property
    def _outputs(self) -> Path:
        return self.home / "outputs.json"


@contextmanager
def world(stack: str, home: Path) -> Iterator[World]:
    """Deploy, hold the ceremony, deploy again: as the first day of a real environment goes."""
    try:
        World(bring_up(stack, home)).hold_ceremony()
        deployment = bring_up(stack, home)
        outputs = deployment.outputs
        stations = {name for name, each in outputs.authorities.items() if each.key == "pkcs11"}
        assert outputs.authorities_without_certificate.keys() == stations, "who has an HSM asks for its own later"
        stop_sweeping(deployment)
        yield World(deployment)
    finally:
        remove_desk(home)
