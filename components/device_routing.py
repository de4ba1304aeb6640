"""The names devices dial (design decision 3): zone, wildcard, default, and the few devices with a record of their own.

The names of clusters are made by the clusters themselves, in this zone. Records of more devices are `fleet`'s; two
writers never own one name (design decision 5).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import pulumi
import pulumi_aws as aws

from components.naming import Naming
from components.policies.keys import dnssec_key_policy
from components.policies.logs import query_log_policy
from components.policy_text import policy_text
from protocol.bundle import MQTT_TLS_PORT
from protocol.device_id import parse_device_id
from protocol.hostnames import (
    DEVICE_TTL_SECONDS,
    cluster_hostname,
    default_hostname,
    device_hostname,
    wildcard_hostname,
)
from stacks.environment import Choice, Environment, Pin

DEFAULT_TTL_SECONDS = 60
"""How long a resolver may keep where the default leads; Route 53 asks for at most 60 s with health checks."""

HEALTH_CHECK_INTERVAL_SECONDS = 30  # Route 53: 30 is the standard interval, 10 costs extra
HEALTH_CHECK_FAILURES = 3  # Route 53's default: about 90 s until an unreachable cluster is left out

GLOBAL_REGION = "us-east-1"
"""Where Route 53 looks for its query log group and its DNSSEC key (Route 53 Developer Guide)."""
QUERY_LOG_DAYS = 30
DNSSEC_KEY_DELETION_DAYS = 30  # KMS: the longest waiting period


@dataclass(frozen=True, kw_only=True)
class DeviceRoutingArgs:
    """The environment says the domain, the clusters behind it, and which of them a device reaches."""

    naming: Naming
    environment: Environment


class DeviceRouting(pulumi.ComponentResource):
    """The hosted zone, and in it everything about devices."""

    zone_id: pulumi.Output[str]
    name_servers: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: DeviceRoutingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:DeviceRouting", name, None, opts)
        self._name, self._args = name, args
        self._domain = args.environment.domain
        self._tags = args.naming.tags(name)
        self._zone = aws.route53.Zone(
            f"{name}-zone",
            name=self._domain,
            comment=f"Flotilla {args.naming.environment}: devices and clusters",
            force_destroy=False,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, protect=args.naming.protects),
        )
        self.zone_id, self.name_servers = self._zone.zone_id, self._zone.name_servers
        self._cname("wildcard", wildcard_hostname(self._domain), default_hostname(self._domain), ttl=DEVICE_TTL_SECONDS)
        self._route_default()
        for pin in args.environment.pins:
            self._pin(pin)
        if args.environment.routing.query_logging:
            self._log_queries()
        if args.environment.routing.dnssec:
            self._sign()
        self.register_outputs({"zone_id": self.zone_id, "name_servers": self.name_servers})

    def _route_default(self) -> None:
        """The default, as the environment chooses it."""
        default = self._args.environment.default
        match default.choose:
            case Choice.SINGLE if default.cluster:
                target = cluster_hostname(default.cluster, self._domain)
                self._cname("default", default_hostname(self._domain), target, ttl=DEFAULT_TTL_SECONDS)
            case Choice.LATENCY:
                checks = self._check_health(default.clusters)
                for cluster in default.clusters:
                    region = self._args.environment.clusters[cluster].region
                    latency = aws.route53.RecordLatencyRoutingPolicyArgs(region=region)
                    self._default_record(cluster, cluster, checks[cluster], latency=latency)
            case Choice.GEOLOCATION if default.cluster:
                checks = self._check_health(dict.fromkeys(chain([default.cluster], default.continents.values())))
                elsewhere = aws.route53.RecordGeolocationRoutingPolicyArgs(country="*")
                self._default_record("elsewhere", default.cluster, checks[default.cluster], place=elsewhere)
                for continent, cluster in default.continents.items():
                    place = aws.route53.RecordGeolocationRoutingPolicyArgs(continent=continent.value)
                    self._default_record(continent.value.lower(), cluster, checks[cluster], place=place)
            case _:
                raise ValueError(f"the default is chosen by {default.choose} and names no cluster; add `cluster`")

    def _default_record(
        self,
        label: str,
        cluster: str,
        check: aws.route53.HealthCheck,
        *,
        latency: aws.route53.RecordLatencyRoutingPolicyArgs | None = None,
        place: aws.route53.RecordGeolocationRoutingPolicyArgs | None = None,
    ) -> None:
        """One record of the set at the default's name: for a cluster's region, or for a place."""
        aws.route53.Record(
            f"{self._name}-default-{label}",
            zone_id=self.zone_id,
            name=default_hostname(self._domain),
            type="CNAME",
            ttl=DEFAULT_TTL_SECONDS,
            records=[cluster_hostname(cluster, self._domain)],
            set_identifier=label,
            health_check_id=check.id,
            latency_routing_policies=[latency] if latency else None,
            geolocation_routing_policies=[place] if place else None,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _check_health(self, clusters: Iterable[str]) -> dict[str, aws.route53.HealthCheck]:
        """Whether each cluster answers TCP under its own name.

        A health checker has no device certificate, so a TLS or MQTT check would fail on a healthy cluster.
        """
        return {
            cluster: aws.route53.HealthCheck(
                f"{self._name}-{cluster}-health",
                type="TCP",
                fqdn=cluster_hostname(cluster, self._domain),
                port=MQTT_TLS_PORT,
                request_interval=HEALTH_CHECK_INTERVAL_SECONDS,
                failure_threshold=HEALTH_CHECK_FAILURES,
                tags=self._tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for cluster in clusters
        }

    def _pin(self, pin: Pin) -> None:
        """A device's own record, which hides the wildcard for it."""
        label, hostname = f"pin-{pin.device}", device_hostname(parse_device_id(pin.device), self._domain)
        if pin.cluster is not None:
            self._cname(label, hostname, cluster_hostname(pin.cluster, self._domain), ttl=DEVICE_TTL_SECONDS)
        elif pin.address is not None:
            self._record(label, hostname, "A", pin.address, ttl=DEVICE_TTL_SECONDS)

    def _cname(self, label: str, name: str, target: str, *, ttl: int) -> None:
        self._record(label, name, "CNAME", target, ttl=ttl)

    def _record(self, label: str, name: str, kind: str, value: str, *, ttl: int) -> None:
        aws.route53.Record(
            f"{self._name}-{label}",
            zone_id=self.zone_id,
            name=name,
            type=kind,
            ttl=ttl,
            records=[value],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _log_queries(self) -> None:
        """Keep what was asked of the zone, for a while."""
        log_group = aws.cloudwatch.LogGroup(
            f"{self._name}-queries",
            name=f"/aws/route53/{self._domain}",
            region=GLOBAL_REGION,
            retention_in_days=QUERY_LOG_DAYS,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        permission = aws.cloudwatch.LogResourcePolicy(
            f"{self._name}-queries-policy",
            policy_name=self._args.naming.name("route53-queries"),
            region=GLOBAL_REGION,
            policy_document=policy_text(
                query_log_policy,
                log_group=log_group.name,
                region=GLOBAL_REGION,
                account_id=self._args.naming.account_id,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.route53.QueryLog(
            f"{self._name}-query-log",
            zone_id=self.zone_id,
            cloudwatch_log_group_arn=log_group.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )

    def _sign(self) -> None:
        """Sign the zone. The DS record goes to the parent zone by hand: `dsRecord` of the key-signing key."""
        key = aws.kms.Key(
            f"{self._name}-dnssec-key",
            description=f"Flotilla {self._args.naming.environment}: signs the zone {self._domain}",
            region=GLOBAL_REGION,
            customer_master_key_spec="ECC_NIST_P256",
            key_usage="SIGN_VERIFY",
            deletion_window_in_days=DNSSEC_KEY_DELETION_DAYS,
            policy=policy_text(dnssec_key_policy, account_id=self._args.naming.account_id),
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.naming.protects),
        )
        signing_key = aws.route53.KeySigningKey(
            f"{self._name}-signing-key",
            name=self._args.naming.name("zone").replace("-", "_"),
            hosted_zone_id=self.zone_id,
            key_management_service_arn=key.arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.route53.HostedZoneDnsSec(
            f"{self._name}-dnssec",
            hosted_zone_id=self.zone_id,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[signing_key]),
        )
