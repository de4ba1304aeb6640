"""The whole audit: the file, every stretch of the chain, the seals, the devices.

It only reads, may run beside stations, and judges the ledger as it stood when it began.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.audit.findings import Finding, Kind
from provisioning.audit.leases import check_leases, rights_of, together
from provisioning.audit.segment import Checked, Issuers, Sample, Segment, check_segment
from provisioning.audit.whole import Sealed, check_devices, check_file, check_seals
from provisioning.errors import StationError
from provisioning.factory_file import Lease
from provisioning.ledger.chain import Head
from provisioning.ledger.rows import head_of
from provisioning.ledger.schema import open_connection
from provisioning.processes import processes
from provisioning.stations.right import leased_period

SEGMENT_ENTRIES = 12_000
"""A stretch: 4,000 issuances, about a quarter of a second and 10 MB."""
ALONE = 5 * SEGMENT_ENTRIES
"""Up to so many entries, other processes would take longer to start than they save."""
SAMPLED_SHARE = 100
"""Of a hundred certificates, one's signature is verified unless all are: forging a tenth of a percent of 1,000,000
unseen has a chance of one in 23,000."""
SMALL_ENTRIES = 60_000
"""Up to so many entries, about 20,000 identities, every signature is verified: OpenSSL does 10,000 a second."""


_UNREADABLE = (
    *(ValueError, UnsupportedAlgorithm, x509.InvalidVersion),
    *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""What the library says of a certificate that it cannot read."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What an auditor asks."""

    factory: Path
    environment: str
    certificates: Mapping[str, bytes]
    """Of the authorities, in DER: plain data, for other processes."""
    vendors: frozenset[str]
    stations: Collection[bytes]
    """Public keys (SubjectPublicKeyInfo in DER) that may seal; any may if none is named."""
    sample: Sample
    now: datetime
    leases: Mapping[str, Lease] = field(default_factory=dict)
    """Of the stations in the factory file."""
    whole_up_to: int = 0
    """Entries up to which every signature is verified, whatever the sample: see `SMALL_ENTRIES`."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the audit found, and of what it was sure."""

    entries: int
    identities: int
    """Certificates on record."""
    verified: int
    """Signatures of authorities that were verified."""
    is_deep: bool
    """Whether those are all."""
    without: tuple[str, ...]
    """Authorities whose certificate is not here, so that nothing they signed is verified."""
    sealed: Sealed
    head: Head
    findings: tuple[Finding, ...]
    """In the order of the entries; what is of the whole ledger first."""

    @property
    def unsealed(self) -> int:
        """Entries after the last seal that holds: only the chain speaks for them."""
        return self.head.number - (0 if self.sealed.last is None else self.sealed.last.number)


def audit(question: Question, *, jobs: int, progress: Callable[[int, int], None]) -> Report:
    """Ask everything, in up to `jobs` processes; `progress` hears how many entries are done, of how many."""
    with _reading(question) as connection:
        head = head_of(connection)
        if head.number <= question.whole_up_to:
            question = replace(question, sample=Sample(share=1, offset=0))
        segments = [
            Segment(first, min(first + SEGMENT_ENTRIES - 1, head.number))
            for first in range(1, head.number + 1, SEGMENT_ENTRIES)
        ]
        if jobs == 1 or head.number <= ALONE:
            checked = _alone(question, segments, progress)
            on_file = list(check_file(connection))
        else:
            checked, on_file = _together(question, segments, jobs, progress)
        findings = [*on_file, *(finding for each in checked for finding in each.findings)]
        sealed = check_seals(connection, head, question.stations)
        findings += [*sealed.findings, *check_devices(connection, head, now=question.now)]
    findings += check_leases(together(each.tallies for each in checked), _issuers(question).rights)
    unknown = sorted(set().union(*(each.unknown for each in checked)))
    findings += [_without(authority) for authority in unknown]
    return Report(
        entries=sum(each.entries for each in checked),
        identities=sum(each.certificates for each in checked),
        verified=sum(each.verified for each in checked),
        is_deep=question.sample.share == 1 and not unknown,
        without=tuple(unknown),
        sealed=sealed,
        head=head,
        findings=tuple(sorted(findings, key=lambda finding: finding.number or 0)),
    )


def _alone(question: Question, segments: list[Segment], progress: Callable[[int, int], None]) -> list[Checked]:
    checked = []
    for segment in segments:
        checked.append(_segment(question, segment))
        progress(segment.last, segments[-1].last)
    return checked


def _together(
    question: Question, segments: list[Segment], jobs: int, progress: Callable[[int, int], None]
) -> tuple[list[Checked], list[Finding]]:
    """The longest task first: SQLite's own check of the file is one piece."""
    done = 0
    with processes(jobs) as pool:
        on_file = pool.submit(_file, question)
        running: list[Future[Checked]] = [pool.submit(_segment, question, segment) for segment in segments]
        for each in as_completed(running):
            done += each.result().entries
            progress(done, segments[-1].last)
        return [each.result() for each in running], on_file.result()


def _segment(question: Question, segment: Segment) -> Checked:
    with _reading(question) as connection:
        return check_segment(connection, segment, _issuers(question), question.sample)


def _issuers(question: Question) -> Issuers:
    certificates = {name: x509.load_der_x509_certificate(der) for name, der in question.certificates.items()}
    return Issuers(
        certificates=certificates,
        vendors=question.vendors,
        rights=rights_of(certificates, question.leases),
    )


def _file(question: Question) -> list[Finding]:
    with _reading(question) as connection:
        return list(check_file(connection))


@contextmanager
def _reading(question: Question) -> Iterator[sqlite3.Connection]:
    try:
        with closing(open_connection(question.factory, question.environment, create=False)) as connection:
            connection.execute("PRAGMA query_only = ON")
            yield connection
    except sqlite3.Error as error:
        raise StationError(
            f"{question.factory}: the ledger cannot be read ({error}); audit a copy from another disk"
        ) from error


def _without(authority: str) -> Finding:
    return Finding(
        kind=Kind.AUTHORITY,
        text=f"authority {authority}: its certificate is not among --authorities, so nothing it signed is verified",
    )


def certificates_in(folder: Path) -> dict[str, bytes]:
    """The certificates of authorities in a folder, by name."""
    found = {}
    for path in sorted(folder.glob("*.pem")):
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            # Key and extensions are read here, where the file is known.
            certificate.public_key(), leased_period(certificate)
            found[path.stem] = certificate.public_bytes(Encoding.DER)
        except _UNREADABLE as error:
            raise StationError(f"{path}: is no readable certificate ({error}); restore it") from error
    return found
