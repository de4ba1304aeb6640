"""What can go wrong at the factory, split by who must act."""

import re
from collections.abc import Iterator
from contextlib import contextmanager


class ProvisioningError(Exception):
    """The base; its text says what is wrong, where, and the way out."""


class RefusedError(ProvisioningError):
    """Who asked must change the request or its files; nothing was done, and asking again changes nothing."""


class ConflictError(RefusedError):
    """What was asked contradicts what stands: another key, another model, or a key that is somebody's already."""


class UnknownError(RefusedError):
    """The device that was named is none of which the ledger holds anything."""


class LeaseError(RefusedError):
    """A station has no right to sign now: whoever gives leases must act, and the request itself is good."""


class StationError(ProvisioningError):
    """The machine at the line cannot do it: its disk, its ledger, its keys, its clock."""


class CloudError(ProvisioningError):
    """The cloud could not be asked, or said no; what the ledger holds stands, and a rerun continues."""


@contextmanager
def about(name: str, *, kind: str = "device") -> Iterator[None]:
    """Have every failure say which device, or which batch, waits for its identity."""
    try:
        yield
    except ProvisioningError as error:
        if _is_named(name, kind, str(error)):
            raise
        raise type(error)(f"{kind} {name}: {error}") from error
    except OSError as error:
        raise StationError(f"{kind} {name}: {error}; check this machine, then run this again") from error


def _is_named(name: str, kind: str, text: str) -> bool:
    """Whether a message names it: after its kind, or as a file. A device may be called `q`, as in `request`."""
    return re.search(rf"(?:^|/|\b{kind} ){re.escape(name)}(?!\.?[\w-])", text, re.MULTILINE) is not None
