"""A station that issues device after device, and says on standard error where each one is: for tests that read a trace.

`steady_station FOLDER COUNT`
"""

import os
import sys
from pathlib import Path

from cryptography import x509

from protocol.device_id import DeviceId
from provisioning.file_signer import FileSigner
from provisioning.issue import issue
from provisioning.ledger import log
from provisioning.ledger.ledger import Ledger
from tests.provisioning.ledgers import AUTHORITY, NOW, PROFILE, ask

ENTRIES_BEFORE_REST = 12
"""So that the log is emptied every few devices."""


def say(what: str) -> None:
    """One write, whole, as the trace shows it."""
    os.write(sys.stderr.fileno(), f"at {what}\n".encode())


def main(folder: str, count: str) -> None:
    log.ENTRIES_BEFORE_REST = ENTRIES_BEFORE_REST
    sign = FileSigner.sign

    def telling(self: FileSigner, message: bytes) -> bytes:
        say("signature")
        return sign(self, message)

    FileSigner.sign = telling  # type: ignore[method-assign]  # the moment is what the trace is read for
    with Ledger.open(Path(folder), "dev", create=True) as ledger:
        for number in range(int(count)):
            request = ask(DeviceId(f"device{number}"))
            say("request")
            identity = issue(
                request, AUTHORITY, ledger, profile=PROFILE, clock=lambda: NOW, new_serial=x509.random_serial_number
            )
            say("answer")
            ledger.deliver(identity, at=NOW)
            say("delivered")


if __name__ == "__main__":
    main(*sys.argv[1:])
