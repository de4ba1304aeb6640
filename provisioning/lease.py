"""Whether a station may sign now: the short right of docs/adr/0010, asked before the ledger prepares anything. Pure."""

from datetime import UTC, datetime, time, timedelta

from provisioning.errors import LeaseError
from provisioning.factory_file import Lease


def check_lease(station: str, lease: Lease, *, now: datetime) -> None:
    """Refuse to sign outside the lease's days and hours."""
    begins, ends = lease_period(lease)
    now = now.astimezone(UTC)
    if not begins <= now <= ends:
        raise LeaseError(
            f"station {station}: may sign from {lease.begins} to {lease.ends}, and it is {now:%Y-%m-%d %H:%M} UTC; "
            f"set its clock, or renew its lease"
        )
    if not is_open(lease, now.hour):
        raise LeaseError(
            f"station {station}: signs from {lease.from_hour} to {lease.to_hour} o'clock UTC, and it is "
            f"{now:%H:%M}; wait, or change the hours in the factory file"
        )


def left_of(lease: Lease, issued: int) -> int:
    """How many more a lease gives to a station whose ledger has prepared `issued` with its key."""
    return max(lease.certificates - issued, 0)


def used_up(station: str, lease: Lease) -> LeaseError:
    """What is said to who asks for more than a lease gives."""
    return LeaseError(
        f"station {station}: may sign {lease.certificates} certificates and has signed them; renew its lease (a new "
        f"name and a new key), or let another one sign"
    )


def lease_period(lease: Lease) -> tuple[datetime, datetime]:
    """The first and the last second of a lease."""
    begins = datetime.combine(lease.begins, time.min, UTC)
    return begins, datetime.combine(lease.ends, time.min, UTC) + timedelta(days=1, seconds=-1)


def is_open(lease: Lease, hour: int) -> bool:
    """Whether an hour of the day, UTC, is one of the lease's."""
    if lease.from_hour < lease.to_hour:
        return lease.from_hour <= hour < lease.to_hour
    return hour >= lease.from_hour or hour < lease.to_hour
