"""The deployment that routes are changed in, as plain values."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the outputs say of it, as far as routing needs it."""

    environment: str
    domain: str
    zone_id: str
    route_table: str
    clusters: Mapping[str, str]
    """Cluster to the server name devices verify there."""
    pins: Collection[str]
    """Devices whose names Pulumi owns: never touched."""
