"""Revocation lists against the library's own builder, whose time is quadratic in the length of the list.

Each size runs in a process of its own, so that its peak is its own; CPU time counts, because machines are shared.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from benchmarks.measure import Clock, Result, compared
from device.simulator.memory import peak_kib
from provisioning.certify import certify, to_be_signed
from provisioning.crl.entries import Revoked
from provisioning.crl.revocation_list import Heading, make_list
from provisioning.file_signer import FileSigner
from provisioning.ledger.records import Reason
from provisioning.profile import Validity, authority_name, root_builder, years

BUILDER_CAN = 20_000
"""A length at which the library's builder takes about a second."""
SIZES = (BUILDER_CAN, 1_000_000)
REVOKED_A_SECOND = 100
"""How many share a second, and thereby their ending: a station's batch."""
_KIB_IN_MIB = 1024
_NOW = datetime(2026, 11, 25, tzinfo=UTC)


def results(clock: Clock) -> Iterator[Result]:  # noqa: ARG001  # each process has its own
    """Entries a second and peak memory, for a length that the builder can do and for a million."""
    builder = _measured("builder", BUILDER_CAN)
    for size in SIZES:
        ours = _measured("ours", size)
        against = f"cryptography's builder at {BUILDER_CAN:,}"
        name = f"revocation list, {size:,} entries"
        yield compared(
            name, size / ours["seconds"], "entries/s", limit=BUILDER_CAN / builder["seconds"], against=against
        )
        yield compared(f"{name}: peak", ours["peak"], "MiB", limit=ours["list"], against="the list itself")


def measure(what: str, size: int) -> dict[str, float]:
    """CPU seconds to a signed list of `size` entries, the process's peak and the list's size in MiB."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = FileSigner(key)
    issuer = certify(
        to_be_signed(
            root_builder(
                name=authority_name("Benchmark CA", "Flotilla"),
                public_key=key.public_key(),
                validity=Validity.lasting(years(20), now=_NOW),
                serial=x509.random_serial_number(),
            )
        ),
        signer,
    )
    started = time.process_time()
    if what == "ours":
        heading = Heading(number=1, this_update=_NOW, next_update=_NOW + timedelta(days=7))
        der = make_list(issuer, signer, heading, entries(size)).der
    else:
        der = _built(issuer, key, size)
    seconds = time.process_time() - started
    crl = x509.load_der_x509_crl(der)
    if len(crl) != size or not crl.is_signature_valid(key.public_key()):
        raise ValueError(f"{what}: the list has {len(crl)} entries instead of {size}, or a wrong signature")
    peak = peak_kib() / _KIB_IN_MIB
    return {"seconds": seconds, "peak": peak, "list": len(der) / _KIB_IN_MIB / _KIB_IN_MIB}


def entries(size: int) -> Iterator[Revoked]:
    """Certificates with random serial numbers, and a reason."""
    random = Random(1)  # noqa: S311  # the same list every time
    for index in range(size):
        at = _NOW + timedelta(seconds=index // REVOKED_A_SECOND)
        yield Revoked(random.getrandbits(158) + 1, at, Reason.KEY_COMPROMISE)


def _built(issuer: x509.Certificate, key: ec.EllipticCurvePrivateKey, size: int) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(_NOW)
        .next_update(_NOW + timedelta(days=7))
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for entry in entries(size):
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(entry.serial)
            .revocation_date(entry.at)
            .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
            .build()
        )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _measured(what: str, size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.revoking", what, str(size)]
    told: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
