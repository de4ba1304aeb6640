"""Where a device dials, and which server name it must see there (design decision 3).

A device looks up `<device>.gw.<domain>` and follows the CNAME chain. The first name under `clusters.<domain>` is the
TLS server name it sends and verifies. A chain that ends without such a name means the device's own name: a gateway on
a desk, an edge cluster of its own. All names are absolute and written without the trailing dot.
"""

from collections.abc import Sequence

from protocol.device_id import DeviceId

DEVICE_ZONE_LABEL = "gw"
CLUSTER_ZONE_LABEL = "clusters"
DEFAULT_LABEL = "default"
DEVICE_TTL_SECONDS = 60
"""How long a resolver may keep where a device goes; it is the wait before a moved device can be kicked."""


def device_hostname(device: DeviceId, domain: str) -> str:
    """The name a device dials, for its whole life."""
    return f"{device}.{DEVICE_ZONE_LABEL}.{domain}"


def wildcard_hostname(domain: str) -> str:
    """The record that serves every device without one of its own."""
    return f"*.{DEVICE_ZONE_LABEL}.{domain}"


def default_hostname(domain: str) -> str:
    """The name behind the wildcard, which chooses the default cluster."""
    return f"{DEFAULT_LABEL}.{domain}"


def cluster_hostname(cluster: str, domain: str) -> str:
    """The name of a cluster, which is also the TLS server name its devices verify."""
    return f"{cluster}.{CLUSTER_ZONE_LABEL}.{domain}"


def server_name(chain: Sequence[str], device: DeviceId, domain: str) -> str:
    """The TLS server name for a resolved chain.

    `chain`: the names passed, in order, from the device's own to the last CNAME target; case and trailing dots are
    folded. Exactly one label may stand before `clusters.<domain>`: TLS wildcards cover one label, and so do we.
    """
    suffix = f".{CLUSTER_ZONE_LABEL}.{domain}".lower()
    for name in chain:
        folded = name.rstrip(".").lower()
        label = folded.removesuffix(suffix)
        if label != folded and label and "." not in label:
            return folded
    return device_hostname(device, domain)
