"""One region of the embedded cloud with a CA, a manifest and a policy, and devices that really knock at it."""

import json
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from functions.registrar import Cloud, Settings, register
from local.cell_tls import TRUST_ANCHORS_FILE
from local.cells import Cell
from protocol.admission import MANIFEST_KEY, ManifestEntry
from tests.functions.throwaway_identity import NOW, Authority, Identity
from tests.local.running_desk import cloud_client

SETTINGS = Settings(manifest_table="manifest", device_policy="device", environment="test")
MODEL = "fl100"
PATIENCE_S = 20.0
"""For what the cloud does after a knock."""


@dataclass(frozen=True)
class Desk:
    """What a registrar finds around it."""

    cell: Cell
    home: Path
    authority: Authority
    ca_certificate_id: str

    def client(self, service: str) -> Any:
        return cloud_client(service, self.cell.endpoint, self.cell.region)

    def cloud(self) -> Cloud:
        return Cloud(iot=self.client("iot"), dynamodb=self.client("dynamodb"), cloudwatch=self.client("cloudwatch"))

    def list_in_manifest(self, entry: ManifestEntry, **changes: str) -> None:
        item = {name: {"S": value} for name, value in (entry.to_item() | changes).items()}
        self.client("dynamodb").put_item(TableName=SETTINGS.manifest_table, Item=item)

    def knock(self, identity: Identity) -> dict[str, str]:
        """Connect with the identity as a device would, so that the cloud takes its certificate in; the event of it."""
        pem = self.home / f"{identity.fingerprint}.pem"
        pem.write_text(identity.key_pem + identity.pem)
        context = ssl.create_default_context(cafile=str(self.home / TRUST_ANCHORS_FILE))
        context.load_cert_chain(pem)
        with (
            socket.create_connection(("127.0.0.1", self.cell.mqtt_port), timeout=PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(_connect_packet(identity.entry.device))
            _wait_for_the_end(secure)
        self.until(lambda: self.status(identity) == "PENDING_ACTIVATION")
        return {"certificateId": identity.fingerprint, "caCertificateId": self.ca_certificate_id}

    def register(self, event: dict[str, str], cloud: Cloud | None = None) -> dict[str, str]:
        return register(event, cloud=cloud or self.cloud(), settings=SETTINGS, now=NOW)

    def status(self, identity: Identity) -> str | None:
        iot = self.client("iot")
        try:
            description = iot.describe_certificate(certificateId=identity.fingerprint)["certificateDescription"]
        except iot.exceptions.ResourceNotFoundException:
            return None
        return str(description["status"])

    def things_of(self, identity: Identity) -> list[str]:
        return list(self.client("iot").list_principal_things(principal=self.arn(identity))["things"])

    def policies_of(self, identity: Identity) -> list[str]:
        attached = self.client("iot").list_attached_policies(target=self.arn(identity))["policies"]
        return [policy["policyName"] for policy in attached]

    def arn(self, identity: Identity) -> str:
        answer = self.client("iot").describe_certificate(certificateId=identity.fingerprint)
        return str(answer["certificateDescription"]["certificateArn"])

    def refusals_counted(self) -> set[frozenset[tuple[str, str]]]:
        """The sets of dimensions under which refusals were counted."""
        metrics = self.client("cloudwatch").list_metrics(Namespace="Flotilla", MetricName="RegistrationsRefused")
        return {
            frozenset((dimension["Name"], dimension["Value"]) for dimension in metric["Dimensions"])
            for metric in metrics["Metrics"]
        }

    @staticmethod
    def until(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, "the cloud never took the certificate in"
            time.sleep(0.02)


def furnish(cell: Cell, home: Path) -> Desk:
    """A desk with what a deployment would have made, but the registrar's rule: the tests are the rule."""
    authority = Authority()
    desk = Desk(cell=cell, home=home, authority=authority, ca_certificate_id="")
    iot = desk.client("iot")
    answer = iot.register_ca_certificate(
        caCertificate=authority.pem, setAsActive=True, allowAutoRegistration=True, certificateMode="SNI_ONLY"
    )
    iot.create_thing_type(thingTypeName=MODEL)
    statement = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    iot.create_policy(policyName=SETTINGS.device_policy, policyDocument=json.dumps(document))
    desk.client("dynamodb").create_table(
        TableName=SETTINGS.manifest_table,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": MANIFEST_KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": MANIFEST_KEY, "AttributeType": "S"}],
    )
    return replace(desk, ca_certificate_id=answer["certificateId"])


def _connect_packet(client_id: str) -> bytes:
    """MQTT 3.1.1, section 3.1: a clean session. AWS IoT registers at the CONNECT, not at the handshake."""
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(client_id).to_bytes(2, "big") + client_id.encode("ascii")
    return bytes((0x10, len(body))) + body


def _wait_for_the_end(secure: ssl.SSLSocket) -> None:
    """Until the server hangs up on a certificate it does not know yet."""
    try:
        while secure.recv(1024):
            pass
    except (ssl.SSLError, ConnectionError):
        return
