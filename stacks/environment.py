"""An environment, as its stack file describes it: frozen types whose existence proves the file valid.

`stacks.load` makes them. Rules that one value can break stand on its type, here and in `stacks.grammar`; rules between
values stand in `stacks.rules`. Keys in the file are the field names below, under `flotilla:` (and `aws:region` for
`home_region`).
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from protocol.batch_window import BatchWindow
from protocol.device_id import parse_device_id
from protocol.keep_alive import Operator, fitting_keep_alive
from protocol.traffic import UNPLACED_SHARE, even_share, reconnect_window
from stacks.grammar import CommonName, Day, Domain, Ipv4, Label, Region, StackName, TagValue, Text

MAX_PINNED_DEVICES = 200
"""Design decision 5: what a reviewer can still see; more belongs to `fleet route`."""


GATEWAY_AUTHORITY = "gateway"
"""The one authority that signs servers: gateways that a device is redirected to, under `gw.<domain>`. It signs no
device, and AWS IoT never hears of it."""


class Frozen(BaseModel):
    """A value of the stack file: unknown keys are refused, nothing is coerced, nothing changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ClusterKind(StrEnum):
    """Design decision 4."""

    MANAGED = "managed"
    """AWS IoT Core with a custom domain."""
    EDGE = "edge"
    """A load balancer before an MQTT broker of ours; not built yet, so a stack file may not ask for it."""


class BatchPath(StrEnum):
    """How batches of measurements come from the topic rule to the ingest function (docs/adr/0014)."""

    LAMBDA = "lambda"
    """One invocation and one file a batch: within a second, for small fleets."""
    KINESIS = "kinesis"
    """Through a stream that gathers what many devices sent: within five minutes, for large ones."""


class Residency(StrEnum):
    """Where data must stay."""

    EU = "EU"
    US = "US"
    AP = "AP"


class Choice(StrEnum):
    """How the default cluster is chosen for a device without a record of its own."""

    SINGLE = "single"
    LATENCY = "latency"
    GEOLOCATION = "geolocation"


class Continent(StrEnum):
    """Route 53's continent codes."""

    AFRICA = "AF"
    ANTARCTICA = "AN"
    ASIA = "AS"
    EUROPE = "EU"
    OCEANIA = "OC"
    NORTH_AMERICA = "NA"
    SOUTH_AMERICA = "SA"


class KeyStorage(StrEnum):
    """Where a private key lives."""

    SECURE_ELEMENT = "secure-element"
    """In a chip that made it and never shows it."""
    TRUSTZONE = "trustzone"
    """In the processor's secure world, made there."""
    FLASH = "flash"
    """In encrypted flash; the only kind for which the factory may make the key."""


class AuthorityKey(StrEnum):
    """Where an issuing authority's key lives."""

    FILE = "file"
    """An encrypted file at the factory; environment `dev` only."""
    KMS = "kms"
    """An AWS KMS key made by this program."""
    PKCS11 = "pkcs11"
    """A hardware security module at the factory, which made the key; this program makes none."""
    VENDOR = "vendor"
    """A vendor of secure elements has it: it signed what its elements carry, and nobody here signs with it."""


class Cluster(Frozen):
    """An ingestion cluster: one account and region that devices connect to."""

    region: Region
    kind: ClusterKind = Field(strict=False)
    residency: Residency = Field(strict=False)
    batches: BatchPath = Field(default=BatchPath.LAMBDA, strict=False)
    """The way its measurements take; a large fleet must take `kinesis`."""


class Default(Frozen):
    """Where the wildcard leads."""

    choose: Choice = Field(strict=False)
    cluster: Label | None = None
    """`single`: the cluster. `geolocation`: the cluster for places no rule names. Not with `latency`."""
    clusters: tuple[Label, ...] = Field(default=(), strict=False)
    """`latency`: the candidates, at least two."""
    continents: dict[Annotated[Continent, Field(strict=False)], Label] = {}
    """`geolocation`: continent to cluster, at least one."""


class ClusterLoad(Frozen):
    """What a cluster must carry at the end of its fleet's life, and what its account may."""

    devices: Annotated[int, Field(ge=1, le=1_000_000_000)]
    """At the end of life, with those that other clusters would send here if they were lost."""
    connections: Annotated[int, Field(ge=1)] = 500_000
    """The account's quota of connections at once (AWS IoT Core quotas; write what Service Quotas says)."""
    connects_per_second: Annotated[int, Field(ge=1)] = 500
    """The account's quota of new connections: 500 by default, 3,000 in large regions."""


class NetworkOperator(Frozen):
    """What a mobile network does to an idle connection, as its operator or a test on the road says."""

    idle_timeout_seconds: Annotated[int, Field(ge=1, le=86_400)]
    """It forgets a connection that was silent this long."""
    shortest_interval_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """It forbids to speak more often than this only to stay connected."""


class Fleet(Frozen):
    """How large the fleet becomes, and how long it may take to be whole again after an outage."""

    recovery_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    """From the moment a cluster is back until every device is; devices keep their readings meanwhile."""
    clusters: dict[Label, ClusterLoad]
    """Cluster to its load."""
    unplaced_percent: Annotated[int, Field(ge=0, le=100)] = round(UNPLACED_SHARE * 100)
    """Of the devices, those whose bundle gives them no place in the return, or whose clock is never set."""
    operators: dict[Text, NetworkOperator] = {}
    """The networks that need a keep-alive of their own, by what modems call them; bundles carry it."""

    @property
    def keep_alives(self) -> dict[str, timedelta]:
        """By operator; `KeepAliveError` for one in whose network nothing can be kept alive, which the rules refuse."""
        return {name: self.keep_alive(name) for name in self.operators}

    def keep_alive(self, name: str) -> timedelta:
        """In one operator's network; `KeepAliveError`."""
        terms = self.operators[name]
        operator = Operator(
            name,
            idle_timeout=timedelta(seconds=terms.idle_timeout_seconds),
            shortest_interval=timedelta(seconds=terms.shortest_interval_seconds),
        )
        return fitting_keep_alive(operator).interval

    @property
    def reconnect_window(self) -> timedelta:
        """What devices are told: the window of the cluster that needs the widest, for a device may be moved to any."""
        return max(self.window_of(load) for load in self.clusters.values())

    def window_of(self, load: ClusterLoad) -> timedelta:
        """How wide a cluster with this load needs the return of its devices."""
        of_all = load.devices / sum(each.devices for each in self.clusters.values())
        even = even_share(unplaced=self.unplaced_percent / 100, of_all=of_all)
        return reconnect_window(load.devices, load.connects_per_second, even=even)


class Authority(Frozen):
    """An issuing authority: a CA of one supplier or line. Its certificate, once made, is a file of the repository."""

    key: AuthorityKey = Field(strict=False)
    common_name: CommonName
    """The CA certificate's subject common name; unique within the environment."""


class HardwareModel(Frozen):
    """A hardware model; step Diversify wants at least two vendors a part over the catalogue's life."""

    vendor: Text
    soc: Text
    modem: Text
    key_storage: KeyStorage = Field(strict=False)
    batch_window: BatchWindow = BatchWindow()
    """How old and how large its batches may become, as its radio and its users bear it; bundles carry it."""
    support_until: Day
    """The last day this model gets security updates. Device certificates of birth must not need to outlive it."""


class AlarmThresholds(Frozen):
    """When a person is told. Counts are per five minutes, the period of the alarms."""

    rule_errors: Annotated[int, Field(ge=1)]
    registrations_refused: Annotated[int, Field(ge=1)]
    dead_letters_waiting: Annotated[int, Field(ge=1)]
    authority_expiry_days: Annotated[int, Field(ge=30, le=3650)]
    """How long before a CA certificate's end the alarm rings; rollover takes months."""


class Pin(Frozen):
    """A device with a record of its own that a reviewer should see. Exactly one of `cluster` and `address`."""

    device: Annotated[str, AfterValidator(parse_device_id)]
    cluster: Label | None = None
    address: Ipv4 | None = None
    residency: Residency | None = Field(default=None, strict=False)
    """Where this device's data must stay; a pin that would break it is refused."""
    owner: TagValue
    reason: Text
    expires: Day
    """The last day the pin is allowed to stand."""


class Routing(Frozen):
    """Options of the device zone, and of who moves devices in it."""

    dnssec: bool = False
    query_logging: bool = False
    """Off by default: names of devices would land in a log, at a cost per query."""
    max_share_percent: Annotated[int, Field(ge=1, le=100)] = 10
    """How much of the fleet one route plan may change without `--yes-really`: the share of an Expansion ring."""


class Firmware(Frozen):
    """Options of the firmware store."""

    retention_mode: Literal["GOVERNANCE", "COMPLIANCE"]
    """S3 Object Lock. COMPLIANCE cannot be shortened by anyone, so a bucket that has it cannot be destroyed."""
    retention_days: Annotated[int, Field(ge=1, le=36500)]


class Environment(Frozen):
    """Everything a stack file says."""

    name: StackName
    """The stack's name, from the file's name."""
    home_region: Region
    """Where what has no region of its own lives (`aws:region`)."""
    owner: TagValue
    domain: Domain
    clusters: dict[Label, Cluster]
    default: Default
    fleet: Fleet
    authorities: dict[Label, Authority]
    """Of suppliers and lines, and `gateway` where devices may be redirected to a gateway on a desk."""
    models: dict[Label, HardwareModel]
    alarms: AlarmThresholds
    firmware: Firmware
    routing: Routing = Routing()
    pins: tuple[Pin, ...] = Field(default=(), strict=False)

    @property
    def issuing(self) -> dict[str, Authority]:
        """The authorities that sign devices."""
        return {name: authority for name, authority in self.authorities.items() if name != GATEWAY_AUTHORITY}


class CaCertificate(Frozen):
    """An issuing authority's certificate, found beside the stack file: public data."""

    authority: Label
    pem: str
    """The issuing CA's certificate alone."""
    not_after: datetime
