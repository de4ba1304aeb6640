"""What one run of the agent is asked to do, apart from what its bundle and its configuration say."""

from dataclasses import dataclass
from datetime import timedelta

from device.link import Credentials
from device.resolution import HostPort
from protocol.traffic import ROUTE_WATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """May be shared by devices that differ in their credentials only."""

    credentials: Credentials
    proxy: HostPort | None = None
    operator: str = ""
    """The mobile network that the demo's modem is in."""
    batches: int | None = None
    """Stop after so many acknowledged batches; nothing means never."""
    rows: int | None = None
    """Rows a batch; nothing means as many as the window says."""
    sample_every: timedelta | None = None
    """Whatever the configuration says; nothing means as it says."""
    watch_route_every: timedelta = ROUTE_WATCH
    """Between two looks at where the own name leads, while connected; the jitter comes on top."""
    attempts: int | None = None
    """Failures in a row before giving up; nothing means never, as in the field."""
    tells_rows: bool = True
    """Whether the events of acknowledged batches name each measurement."""

    @property
    def row_limit(self) -> int | None:
        """After how many rows there is enough for the batches asked for."""
        return self.batches * self.rows if self.batches is not None and self.rows is not None else None
