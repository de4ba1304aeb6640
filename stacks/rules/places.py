"""Where an environment lives: its clusters' regions and names, and its domain."""

import difflib
from collections.abc import Collection, Mapping

from protocol.hostnames import CLUSTER_ZONE_LABEL, DEFAULT_LABEL, DEVICE_ZONE_LABEL, cluster_hostname
from stacks.environment import Cluster, ClusterKind, Residency
from stacks.rules.breach import Breach, Breaches

RESIDENCY_PREFIXES = {Residency.EU: "eu-", Residency.US: "us-", Residency.AP: "ap-"}
"""How the codes of the regions begin whose data centres stand in a residency (AWS, Regions and Availability Zones)."""
OUTSIDE_THE_UNION = {"eu-west-2": "the United Kingdom", "eu-central-2": "Switzerland"}
"""Regions of AWS's geography Europe whose data centres stand outside the European Union."""
RESERVED_LABELS = frozenset({DEFAULT_LABEL, DEVICE_ZONE_LABEL, CLUSTER_ZONE_LABEL})
"""Labels with a meaning of their own under every domain; `default` is also how `fleet route` is told that a device has
no record of its own."""
MAX_CERTIFICATE_NAME = 64
"""Characters of the first name of a certificate (AWS ACM, RequestCertificate: the common name of RFC 5280)."""


def some_cluster(clusters: Mapping[str, Cluster]) -> Breaches:
    """Devices need somewhere to go."""
    if not clusters:
        yield Breach(("clusters",), "an environment has at least one cluster", "add a cluster, such as eu1")


def one_cluster_a_region(clusters: Mapping[str, Cluster]) -> Breaches:
    """One account and region is one cluster: names, and the CAs registered there, would collide."""
    first: dict[str, str] = {}
    for name, cluster in clusters.items():
        other = first.setdefault(cluster.region, name)
        if other != name:
            rule = f"region {cluster.region} is used by cluster {other} already, and one account holds one a region"
            yield Breach(("clusters", name, "region"), rule, "give this cluster another region, or remove it")


def regions_have_iot(clusters: Mapping[str, Cluster], iot_regions: Collection[str]) -> Breaches:
    """A cluster is AWS IoT Core. Otherwise a slip in a region would show when half of the deployment stands."""
    for name, cluster in clusters.items():
        if cluster.kind is ClusterKind.MANAGED and cluster.region not in iot_regions:
            near = difflib.get_close_matches(cluster.region, sorted(iot_regions), n=3)
            guess = f"did you mean {' or '.join(near)}? " if near else ""
            way_out = f"{guess}A region newer than requirements.txt is known once botocore is raised there"
            rule = f"AWS IoT Core is in no region {cluster.region}, as far as botocore knows"
            yield Breach(("clusters", name, "region"), rule, way_out)


def regions_in_residency(clusters: Mapping[str, Cluster]) -> Breaches:
    """A cluster keeps its data where it says."""
    for name, cluster in clusters.items():
        prefix = RESIDENCY_PREFIXES[cluster.residency]
        country = OUTSIDE_THE_UNION.get(cluster.region) if cluster.residency is Residency.EU else None
        if country or not cluster.region.startswith(prefix):
            where = f"in {country}, outside" if country else "not in"
            rule = f"region {cluster.region} is {where} residency {cluster.residency}"
            way_out = f"choose a region {prefix}* there, or correct the residency"
            yield Breach(("clusters", name, "region"), rule, way_out)


def managed_clusters_only(clusters: Mapping[str, Cluster]) -> Breaches:
    """The edge kind is decided (design decision 4) and not built."""
    for name, cluster in clusters.items():
        if cluster.kind is not ClusterKind.MANAGED:
            rule = f"clusters of kind {cluster.kind} cannot be deployed yet"
            yield Breach(("clusters", name, "kind"), rule, "write kind: managed, or leave the cluster out for now")


def cluster_names_are_free(clusters: Mapping[str, Cluster]) -> Breaches:
    """A cluster's name must not be taken for a part of the zone, nor for where `fleet route` sends a device."""
    for name in clusters:
        if name in RESERVED_LABELS:
            rule = f"{name} has a meaning of its own in the zone"
            if name == DEFAULT_LABEL:
                rule += ", and `fleet route` takes it for wherever the wildcard leads"
            yield Breach(("clusters", name), rule, "rename the cluster, such as eu1")


def home_beside_a_cluster(home_region: str, clusters: Mapping[str, Cluster]) -> Breaches:
    """What has no region of its own lives where a cluster's data may be anyway."""
    regions = sorted({cluster.region for cluster in clusters.values()})
    if regions and home_region not in regions:
        rule = f"the home region {home_region} holds no cluster"
        yield Breach(("home_region",), rule, f"choose one of the clusters' regions: {', '.join(regions)}")


def server_names_fit_a_certificate(domain: str, clusters: Mapping[str, Cluster]) -> Breaches:
    """A cluster's server name is the first name of its certificate."""
    for name in clusters:
        server_name = cluster_hostname(name, domain)
        long = len(server_name)
        if long > MAX_CERTIFICATE_NAME:
            rule = f"server name {server_name} has {long} characters, and a certificate takes {MAX_CERTIFICATE_NAME}"
            yield Breach(("clusters", name), rule, "shorten the cluster's name or the domain")


def domains_apart(domain: str, other_domains: Mapping[str, str]) -> Breaches:
    """A wildcard certificate in one account blocks overlapping custom domains of every other account in its region.

    `other_domains`: stack to domain. Source: AWS IoT Core, configurable endpoints.
    """
    for stack, other in other_domains.items():
        if domain == other or domain.endswith(f".{other}") or other.endswith(f".{domain}"):
            rule = f"domain {domain} overlaps {other} of stack {stack}, and such accounts block each other"
            yield Breach(("domain",), rule, f"choose a domain beside it, such as iot-{stack}.example.com")
