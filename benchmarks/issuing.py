"""Issuing against OpenSSL's own limit for the same work: one verification of the request, one signature."""

import itertools
import re
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from benchmarks.measure import Clock, Result, compared, rate
from protocol.device_id import parse_device_id
from provisioning.algorithm import KeyType
from provisioning.authority import IssuingAuthority
from provisioning.birth import BirthProfile
from provisioning.certify import certify, pem_of, signed, to_be_signed
from provisioning.draft import draft
from provisioning.file_signer import FileSigner
from provisioning.issue import issue
from provisioning.ledger.ledger import Ledger
from provisioning.profile import Validity, authority_name, root_builder, years
from provisioning.request import Request
from provisioning.serials import serials_of

CERTIFICATES = 300
"""A round takes a fraction of a second, and the ledger stays small."""
PROFILE = BirthProfile(key_type=KeyType.P256, lifetime=years(15))
LIMIT = "openssl speed ecdsap256: one verify and one sign"


def results(clock: Clock) -> Iterator[Result]:
    """Certificates a second from a CSR in PEM to a certificate in PEM, without and with the durable ledger."""
    now = datetime.now(UTC)
    limit = openssl_limit()
    authority = _authority(now)
    new_serial = serials_of("0a")
    requests = [_request(f"device{index}") for index in range(CERTIFICATES)]

    def sign() -> int:
        for name, pem in requests:
            intent = draft(_checked(name, pem), authority.template, profile=PROFILE, now=now, serial=new_serial())
            pem_of(signed(intent.to_be_signed, authority.signer))
        return len(requests)

    unit = "certificates/s"
    yield compared("issue, no ledger", rate(sign, clock), unit, limit=limit, against=LIMIT)
    with tempfile.TemporaryDirectory() as folder:
        rounds = itertools.count()

        def issue_durably() -> int:
            place = Path(folder) / str(next(rounds))
            place.mkdir()
            with Ledger.open(place, "dev", create=True) as ledger:
                for name, pem in requests:
                    identity = issue(
                        _checked(name, pem),
                        authority,
                        ledger,
                        profile=PROFILE,
                        clock=lambda: now,
                        new_serial=new_serial,
                    )
                    identity.certificate.public_bytes(Encoding.PEM)
            return len(requests)

        yield compared("issue, durable ledger", rate(issue_durably, clock), unit, limit=limit, against=LIMIT)


def openssl_limit() -> float:
    """Verifications followed by signatures a second, of one OpenSSL process."""
    command = ["openssl", "speed", "-seconds", "1", "ecdsap256"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return parse_limit(told)


def parse_limit(told: str) -> float:
    """From the last line of `openssl speed`: seconds a sign, seconds a verify, signs a second, verifies a second."""
    found = re.search(r"ecdsa \(nistp256\)\s+\S+\s+\S+\s+([\d.]+)\s+([\d.]+)", told)
    if found is None:
        raise ValueError(f"openssl speed told nothing of ecdsap256: {told!r}")
    signs, verifies = float(found[1]), float(found[2])
    return 1 / (1 / signs + 1 / verifies)


def _authority(now: datetime) -> IssuingAuthority:
    signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    builder = root_builder(
        name=authority_name("Benchmark CA", "Flotilla"),
        public_key=signer.public_key(),
        validity=Validity.lasting(years(20), now=now),
        serial=x509.random_serial_number(),
    )
    certificate = certify(to_be_signed(builder), signer)
    return IssuingAuthority.ready(name="line-a", certificate=certificate, signer=signer, root=None, now=now)


def _request(name: str) -> tuple[str, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return name, csr.public_bytes(Encoding.PEM)


def _checked(name: str, pem: bytes) -> Request:
    return Request.from_csr(pem, device=parse_device_id(name), model="fl100", authority="line-a", key_type=KeyType.P256)
