"""Whether a failure is one device's or everybody's: one bad device must not stop those behind it.

What AWS refuses for what it is, is the device's own: it is set aside, and the others go on. A right that is missing, a
network that is down, answers that never come well may be everybody's: after enough of them in a row there is no use in
asking for the next device.
"""

from dataclasses import dataclass

from botocore.exceptions import ClientError

from provisioning.errors import CloudError
from provisioning.registry.calls import may_pass

MOST_IN_A_ROW = 32
"""As many as are under way at a time: had one of them been let through, it would have been seen by then."""
_NOT_ALLOWED = frozenset({401, 403})
"""HTTP status of calls that are refused for who makes them (RFC 9110, sections 15.5.2 and 15.5.4)."""


@dataclass
class Setbacks:
    """Failures in one cluster, one after another."""

    in_a_row: int = 0

    def went_well(self) -> None:
        """The cloud did as it was asked."""
        self.in_a_row = 0

    def note(self, error: Exception) -> str:
        """What went wrong with one device, and the way out."""
        if _is_devices_own(error):
            self.in_a_row = 0
            return f"{error}; it was set aside: mend what AWS has against it, then run this again"
        self.in_a_row += 1
        return f"{error}; check credentials, rights and network, then run this again"

    def stop_if_all_fail(self, where: str) -> None:
        """Raise `CloudError` where going on is of no use."""
        if self.in_a_row >= MOST_IN_A_ROW:
            raise CloudError(
                f"{where}: {self.in_a_row} devices in a row failed, and the rest was left; check credentials, rights "
                "and network, then run this again"
            )


def _is_devices_own(error: Exception) -> bool:
    """Whether AWS refused this very device. `CloudError` stands for an answer that was none."""
    if not isinstance(error, ClientError) or may_pass(error):
        return False
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") not in _NOT_ALLOWED
