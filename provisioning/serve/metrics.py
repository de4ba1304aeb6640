"""What a station counts, in Prometheus' text format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""A file signs in a few milliseconds, KMS in some tens, a tired disk in some hundreds."""


class Metrics:
    """One set a server; nothing is registered for the whole process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.issued = Counter(
            "flotilla_station_identities", "Answered requests for an identity", ["outcome"], registry=self._registry
        )
        """Outcome: `issued`, `again` (the same request, the same certificate), or the kind of problem."""
        self.issuing_seconds = Histogram(
            "flotilla_station_issuing_seconds",
            "From the request to the durable certificate",
            buckets=BUCKETS_SECONDS,
            registry=self._registry,
        )
        self.retired = Counter("flotilla_station_retired", "Identities ended through the API", registry=self._registry)
        self.turned_away = Counter(
            "flotilla_station_turned_away",
            "Requests without a token, too large, misdirected, or too many at once",
            ["status"],
            registry=self._registry,
        )
        self.ready = Gauge("flotilla_station_ready", "Whether the last readiness check passed", registry=self._registry)

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)
