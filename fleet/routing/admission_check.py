"""Whether a cluster would let a device in, before the device's name leads there.

The registrar admits what the factory's manifest lists (design decision 6); a device whose name leads to a cluster that
refuses it is a device lost until it is moved back. So this reads what the registrar will read: the manifest of the
target's region, the authority registered there, the policy, and what became of the certificate if it was there before.

A move never deactivates anything in the cluster it leaves, so a certificate that is INACTIVE here was taken out by a
person, and only a person may bring it back: it is refused, as the registrar refuses it, and not activated on the way.

`refusals` decides over plain values; `IotAdmission` reads them, one by one for few devices and in lists for many.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from fleet.errors import UnfinishedError
from protocol.admission import MANIFEST_DEVICE_INDEX, MANIFEST_DEVICE_KEY, ManifestEntry, Standing
from protocol.device_id import DeviceId

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_iot import IoTClient

DESCRIBES_PER_SECOND = 8
"""DescribeCertificate and ListCertificates of one region: AWS IoT takes 10 a second of each (API quotas)."""
MAX_ASKED_ONE_BY_ONE = 50
"""Devices looked up by a request each; from here on the region's lists are cheaper: 250 certificates, or a megabyte of
manifest, a request."""
CERTIFICATE_PAGE = 250
"""Certificates in one answer of ListCertificates, at most (its API reference)."""
ACTIVE = "ACTIVE"
ADMISSIBLE = frozenset({ACTIVE, "PENDING_ACTIVATION"})
"""A pending certificate knocked before its manifest came: the next knock admits it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A target, as the deployment's outputs describe it."""

    cluster: str
    manifest_table: str
    policy: str
    """The IoT policy of devices."""
    authorities: Mapping[str, str]
    """Issuing authority to the id of its CA certificate here; without those that have none."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a target knows, read at one time."""

    manifest: Mapping[DeviceId, tuple[ManifestEntry, ...]]
    certificates: Mapping[str, str]
    """Fingerprint to the status it has here; a certificate that never knocked here is left out."""
    active_authorities: frozenset[str]
    has_policy: bool


class Admission(Protocol):
    """One target's knowledge. `fleet.errors.UnfinishedError` when it cannot be asked."""

    def read(self, devices: Collection[DeviceId], /) -> Known:
        """What the target knows of these devices."""


def refusals(place: Place, devices: Collection[DeviceId], known: Known, *, now: datetime) -> dict[DeviceId, str]:
    """Those that the target would not let in, and why, with the way out. Empty is what a move needs."""
    if not known.has_policy:
        reason = f"{place.cluster}: there is no IoT policy {place.policy}; deploy the environment"
        return dict.fromkeys(sorted(devices), reason)
    reasons = {device: _refusal(place, known, known.manifest.get(device, ()), now=now) for device in sorted(devices)}
    return {device: reason for device, reason in reasons.items() if reason is not None}


def _refusal(place: Place, known: Known, entries: Collection[ManifestEntry], *, now: datetime) -> str | None:
    """Why none of the identities of one device gets it in; it holds one of them, and which is not known here."""
    if not entries:
        return f"{place.cluster}: its manifest does not list the device; run: python -m provisioning sync"
    wrong = [_wrong(place, known, entry, now=now) for entry in entries]
    return None if None in wrong else "; ".join(sorted({text for text in wrong if text}))


def _wrong(place: Place, known: Known, entry: ManifestEntry, *, now: datetime) -> str | None:
    identity = f"{place.cluster}: its certificate {entry.fingerprint[:12]}"
    if entry.standing is not Standing.GOOD:
        return f"{identity} is {entry.standing}; issue another"
    if now >= entry.not_after:
        return f"{identity} was valid until {entry.not_after:%Y-%m-%d}; issue another"
    if entry.authority not in known.active_authorities:
        return (
            f"{place.cluster}: authority {entry.authority} is not registered and active there; deploy the environment"
        )
    status = known.certificates.get(entry.fingerprint)
    if status is not None and status not in ADMISSIBLE:
        return f"{identity} is {status} there: someone took it out, and only they may bring it back"
    return None


@dataclass(frozen=True, kw_only=True)
class IotAdmission:
    """AWS IoT and the manifest table of a target's region."""

    place: Place
    iot: "IoTClient"
    dynamodb: "DynamoDBClient"
    wait_turn: Callable[[], None]
    """Called before each request to AWS IoT; comes back when `DESCRIBES_PER_SECOND` allows it."""

    def read(self, devices: Collection[DeviceId], /) -> Known:
        """What the region knows of these devices now."""
        with self._asking():
            manifest = self._manifest(frozenset(devices))
            good = [
                entry.fingerprint
                for entries in manifest.values()
                for entry in entries
                if entry.standing is Standing.GOOD
            ]
            return Known(
                manifest=manifest,
                certificates=self._statuses(frozenset(good)),
                active_authorities=frozenset(
                    authority for authority, ca in self.place.authorities.items() if self._admits(ca)
                ),
                has_policy=self._has_policy(),
            )

    def _manifest(self, devices: frozenset[DeviceId]) -> dict[DeviceId, tuple[ManifestEntry, ...]]:
        """The entries of these devices; an item that is no entry admits nobody, to the registrar too."""
        found: dict[DeviceId, tuple[ManifestEntry, ...]] = {}
        for item in self._indexed(devices) if len(devices) <= MAX_ASKED_ONE_BY_ONE else self._scanned():
            entry = _entry(item) if item.get(MANIFEST_DEVICE_KEY, {}).get("S") in devices else None
            if entry is not None:
                found[entry.device] = (*found.get(entry.device, ()), entry)
        return found

    def _indexed(self, devices: frozenset[DeviceId]) -> Iterator[dict[str, Any]]:
        """By the index of devices, which is moments behind: a plan is older than that."""
        query = self.dynamodb.get_paginator("query")
        for device in devices:
            pages = query.paginate(
                TableName=self.place.manifest_table,
                IndexName=MANIFEST_DEVICE_INDEX,
                KeyConditionExpression=f"{MANIFEST_DEVICE_KEY} = :device",
                ExpressionAttributeValues={":device": {"S": device}},
            )
            yield from (item for page in pages for item in page["Items"])

    def _scanned(self) -> Iterator[dict[str, Any]]:
        scan = self.dynamodb.get_paginator("scan")
        pages = scan.paginate(TableName=self.place.manifest_table, ConsistentRead=True)
        yield from (item for page in pages for item in page["Items"])

    def _statuses(self, fingerprints: frozenset[str]) -> dict[str, str]:
        if len(fingerprints) > MAX_ASKED_ONE_BY_ONE:
            return {name: status for name, status in self._listed() if name in fingerprints}
        described = ((name, self._status(name)) for name in fingerprints)
        return {name: status for name, status in described if status is not None}

    def _status(self, fingerprint: str) -> str | None:
        self.wait_turn()
        try:
            description = self.iot.describe_certificate(certificateId=fingerprint)["certificateDescription"]
        except self.iot.exceptions.ResourceNotFoundException:
            return None
        return str(description["status"])

    def _listed(self) -> Iterator[tuple[str, str]]:
        marker = ""
        while True:
            self.wait_turn()
            page = (
                self.iot.list_certificates(pageSize=CERTIFICATE_PAGE, marker=marker)
                if marker
                else self.iot.list_certificates(pageSize=CERTIFICATE_PAGE)
            )
            yield from ((each["certificateId"], each["status"]) for each in page["certificates"])
            marker = page.get("nextMarker", "")
            if not marker:
                return

    def _admits(self, ca_certificate: str) -> bool:
        """Whether the authority is registered, active, and lets unknown devices register themselves."""
        self.wait_turn()
        try:
            authority = self.iot.describe_ca_certificate(certificateId=ca_certificate)["certificateDescription"]
        except self.iot.exceptions.ResourceNotFoundException:
            return False
        return authority["status"] == ACTIVE and authority.get("autoRegistrationStatus") == "ENABLE"

    def _has_policy(self) -> bool:
        self.wait_turn()
        try:
            self.iot.get_policy(policyName=self.place.policy)
        except self.iot.exceptions.ResourceNotFoundException:
            return False
        return True

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise UnfinishedError(f"{self.place.cluster}: cannot be asked whom it admits: {error}") from error


def _entry(item: Mapping[str, Any]) -> ManifestEntry | None:
    try:
        return ManifestEntry.from_item({name: value["S"] for name, value in item.items()})
    except (KeyError, ValueError):
        return None
