"""The embedded cloud under a simulated fleet: its registry, its names and its lakes, as the simulator asks for them."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device.simulator.given_ground import GivenGround
from device.simulator.identities import make_devices, renew
from device.simulator.scenario import Act
from fleet.lake.fold import fold
from fleet.lake.reading import lake_keys, read_files
from protocol.admission import ManifestEntry, Standing
from protocol.bundle import CHAIN_FILE
from protocol.device_id import DeviceId
from protocol.hostnames import cluster_hostname, default_hostname
from tests.e2e.world import World

LINE = "line-a"
MODEL = "fl100"
AT_ONCE = 4
MANIFEST_BATCH = 25
"""DynamoDB, BatchWriteItem."""
ROW = ("device", "epoch", "sequence")
"""What one row of a device is called for ever; its readings share it."""
LOOK_SECONDS = 1.0
SETTLE_SECONDS = 60.0
"""Without news from the lake's function, which stores some ten batches a second on a machine that is not busy: then
what is missing does not come."""


@dataclass
class DeskGround(GivenGround):
    """`open` it on a world whose ceremony was held."""

    world: World
    cannot: frozenset[type[Act]] = frozenset()
    stored: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    certificates: dict[str, x509.Certificate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.world.domain, resolver=self.world.resolver, beyond=self.world.proxy)
        factory = self.world.home / "factory"
        passphrase = (factory / "passphrase").read_bytes().strip()
        signer = serialization.load_pem_private_key((factory / f"{LINE}.key.pem").read_bytes(), passphrase)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        self.signer = signer
        self.clusters = list(self.world.deployment.outputs.clusters)
        """Which know the devices before they come."""
        self.issuer = x509.load_pem_x509_certificate((self.world.home / "authorities" / f"{LINE}.pem").read_bytes())

    def issue(self, name: str, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """As the factory does, without its ledger: a thousand in a second."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self.issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issuer.public_key()),  # type: ignore[arg-type]  # P-256
                critical=False,
            )
            .sign(self.signer, hashes.SHA256())
        )
        self.certificates[name] = certificate
        return key, certificate

    def make(self, folder: Path, devices: Sequence[DeviceId], window: timedelta, *, just_in_time: int) -> list[Path]:
        """Devices that every cluster lists; all but `just_in_time` of them are registered already."""
        folders = list(
            make_devices(
                folder,
                list(devices),
                self.issue,
                anchors=self.world.home / "trust-anchors.pem",
                domain=self.domain,
                reconnect_window=window,
                now=datetime.now(UTC),
            )
        )
        self._list(devices)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._register, devices[just_in_time:]))
        return folders

    def _list(self, devices: Sequence[DeviceId]) -> None:
        """In every cluster's manifest."""
        puts = [{"PutRequest": {"Item": self._item(device)}} for device in devices]
        for cluster, outputs in self.world.deployment.outputs.clusters.items():
            dynamodb = self.world.client("dynamodb", cluster)
            for first in range(0, len(puts), MANIFEST_BATCH):
                batch = {outputs.manifest_table: puts[first : first + MANIFEST_BATCH]}
                assert not dynamodb.batch_write_item(RequestItems=batch)["UnprocessedItems"]

    def _item(self, device: DeviceId) -> dict[str, dict[str, str]]:
        certificate = self.certificates[device]
        entry = ManifestEntry(
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            device=device,
            model=MODEL,
            authority=LINE,
            serial=f"{certificate.serial_number:x}",
            not_after=certificate.not_valid_after_utc,
            standing=Standing.GOOD,
        )
        return {name: {"S": value} for name, value in entry.to_item().items()}

    def _register(self, device: DeviceId) -> None:
        """What the registrar does, in every cluster, ahead of the first connect or of a new certificate's.

        A thing that the registrar made carries attributes, and stays as it is.
        """
        pem = self.certificates[device].public_bytes(serialization.Encoding.PEM).decode()
        issuer = self.issuer.public_bytes(serialization.Encoding.PEM).decode()
        for cluster in self.clusters:
            iot: Any = self.world.client("iot", cluster)
            arn = iot.register_certificate(certificatePem=pem, caCertificatePem=issuer, status="ACTIVE")[
                "certificateArn"
            ]
            with suppress(iot.exceptions.ResourceAlreadyExistsException):
                iot.create_thing(thingName=device, thingTypeName=MODEL)
            iot.attach_policy(policyName=self.world.deployment.outputs.device_policy_name, target=arn)
            iot.attach_thing_principal(thingName=device, principal=arn)

    async def lead(self, cluster: str) -> None:
        """By the one record behind the wildcard."""
        record = {
            "Name": default_hostname(self.domain),
            "Type": "CNAME",
            "TTL": 60,
            "ResourceRecords": [{"Value": cluster_hostname(cluster, self.domain)}],
        }
        await asyncio.to_thread(
            self.world.client("route53").change_resource_record_sets,
            HostedZoneId=self.world.deployment.outputs.zone_id,
            ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]},
        )

    async def renew(self, device: DeviceId, folder: Path) -> None:
        """A new certificate of the same thing; the old one's files are gone."""
        renew(folder, device, self.issue, now=datetime.now(UTC))
        assert (folder / CHAIN_FILE).is_file()
        await asyncio.to_thread(self._list, [device])
        await asyncio.to_thread(self._register, device)

    async def settle(self, acknowledged: int) -> None:
        """Until the lakes hold so many rows, or grow no more."""
        await asyncio.to_thread(self._settle, acknowledged)

    def _settle(self, acknowledged: int) -> None:
        seen, grew_at = 0, time.monotonic()
        while True:
            now = sum(len(list(lake_keys(s3, bucket))) for s3, bucket in self._lakes())
            if now != seen:
                seen, grew_at = now, time.monotonic()
                self._read()
            elif self.stored.total() >= acknowledged or time.monotonic() - grew_at > SETTLE_SECONDS:
                return
            time.sleep(LOOK_SECONDS)

    def _read(self) -> None:
        """All that is there: in each lake in order, and in all together once.

        A batch whose cluster was lost before it could say that it stored it comes to the next cluster again.
        """
        self.wrong.clear()
        lakes = {bucket: read_files(s3, bucket, lake_keys(s3, bucket)) for s3, bucket in self._lakes()}
        for bucket, table in lakes.items():
            self._check_order(fold(table).table, bucket)
        folded = fold(pa.concat_tables(lakes.values()))
        if folded.conflicts:
            self.wrong.append(f"{folded.conflicts} readings came again and said something else")
        rows = set(zip(*(folded.table.column(name).to_pylist() for name in ROW), strict=True))
        # The desk is shared: other tests' devices have clocks and stories of their own.
        self.stored = Counter((device, epoch) for device, epoch, _ in rows if device in self.certificates)

    def _check_order(self, table: pa.Table, bucket: str) -> None:
        names = (*ROW, "device_time")
        moments: dict[tuple[str, int], tuple[int, datetime]] = {}
        rows = set(zip(*(table.column(name).to_pylist() for name in names), strict=True))
        for device, epoch, sequence, moment in sorted(row for row in rows if row[0] in self.certificates):
            before = moments.get((device, epoch))
            if before is not None and (before[0] == sequence or before[1] >= moment):
                self.wrong.append(f"{bucket}: {device}, epoch {epoch}: row {sequence} is not after row {before[0]}")
            moments[device, epoch] = sequence, moment

    def _lakes(self) -> list[tuple[Any, str]]:
        outputs = self.world.deployment.outputs.clusters
        return [(self.world.client("s3", name), cluster.lake_bucket) for name, cluster in outputs.items()]

    def arrived_rows(self, device: str, epoch: int) -> int | None:
        """In both lakes together."""
        return self.stored[device, epoch]

    def faults(self) -> list[str]:
        """What the lakes hold and should not."""
        return self.wrong
