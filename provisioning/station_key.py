"""The station's own key, which signs what the station reports: the ledger's seals and the reports of batches.

It signs no certificate. It lies in the factory folder, plain and for its owner alone: a seal is for whoever reads the
ledger elsewhere, later, and who can read this file can run the station anyway.
"""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from provisioning.algorithm import KeyType
from provisioning.durable import write_durably
from provisioning.file_signer import FileSigner
from provisioning.key_file import make_or_read_device_key

STATION_KEY_FILE = "station.key.pem"
STATION_PUBLIC_KEY_FILE = "station.pub.pem"
"""For the auditor: give it away on the first day, not together with a ledger."""


def station_signer(factory: Path) -> FileSigner:
    """The station's signer; its key and, beside it, the public half are made the first time."""
    signer = FileSigner(make_or_read_device_key(factory / STATION_KEY_FILE, KeyType.P256))
    public = factory / STATION_PUBLIC_KEY_FILE
    if not public.exists():
        write_durably(public, signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return signer
