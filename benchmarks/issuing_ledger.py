"""Issuing with the durable ledger as a batch does it, in two processes, against two cores of OpenSSL; and one device.

Two clocks: the wall's, which a busy machine slows, and the processors', which say what two idle cores would do if
neither waited for the other or for the disk.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.issuing import (
    GENERATED_LIMIT,
    PROFILE,
    REQUEST_LIMIT,
    UNIT,
    Limit,
    authority_of,
    checked,
    openssl_limit,
    request_of,
)
from benchmarks.measure import Clock, Result, compared
from protocol.device_id import parse_device_id
from provisioning.algorithm import KeyType, public_key_der
from provisioning.audit.audit import SAMPLED_SHARE, Question, audit
from provisioning.audit.segment import Sample
from provisioning.authority import IssuingAuthority
from provisioning.bulk.table import PART_ROWS
from provisioning.certify import pem_of
from provisioning.file_signer import FileSigner
from provisioning.issue import issue
from provisioning.issue_many import Wanted, issue_many
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.seal import seal
from provisioning.request import Request
from provisioning.serials import serials_of
from provisioning.spelling import public_half

PROCESSES = 2
PARTS = 8
"""Of a batch, for each process: a second or two of work."""
ROUNDS = 3
ALONE = 200
"""Devices that come one after another."""
STATION_MILLISECONDS = 20.0
"""What a station may take for one device, from its request to a durable certificate."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Identities a second, by both clocks."""

    wall: float
    processor: float
    """Of `PROCESSES` processors that nobody else uses."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """An authority, and what asks it."""

    authority: IssuingAuthority
    requests: Sequence[tuple[str, bytes]]

    def part(self, number: int) -> Sequence[tuple[str, bytes]]:
        """The requests of one part."""
        return self.requests[number * PART_ROWS : (number + 1) * PART_ROWS]

    def from_requests(self, number: int) -> list[Request]:
        """Of devices that sent a CSR in PEM."""
        return [checked(name, pem) for name, pem in self.part(number)]

    def generated(self, number: int) -> list[Request]:
        """Of devices whose keys are made, and written in DER, here."""
        return [_generated(name) for name, _ in self.part(number)]


def results(clock: Clock, cpu: Clock = time.process_time) -> Iterator[Result]:
    """A batch from requests and with new keys, one device at a station, and the audit of a batch."""
    count = PROCESSES * PARTS * PART_ROWS
    authority = authority_of(ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC))
    line = Line(authority=authority, requests=[request_of(f"device{number}") for number in range(count)])
    line.from_requests(0)  # what is made once a process is made before the clock runs
    limits, runs = [], defaultdict[str, list[Run]](list)
    asked = {"issue": line.from_requests, "generate": line.generated}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            limits.append(openssl_limit(cpu))
            for name, ask in asked.items():
                runs[name].append(batch(line, Path(tempfile.mkdtemp(dir=folder)), ask))
        # The best of each: what a busy machine takes away is taken from either side by chance.
        limit = Limit(
            signs=max(each.signs for each in limits),
            verifies=max(each.verifies for each in limits),
            generates=max(each.generates for each in limits),
        )
        for name, at_most, against in (
            ("issue", limit.of_requests, REQUEST_LIMIT),
            ("generate", limit.of_generated, GENERATED_LIMIT),
        ):
            told, both, of = f"{name}, ledger, 2 processes", PROCESSES * at_most, f"two cores of {against}"
            yield compared(told, max(run.wall for run in runs[name]), UNIT, limit=both, against=of)
            processor = max(run.processor for run in runs[name])
            yield compared(f"{told}, processor time", processor, UNIT, limit=both, against=of)
        yield _one_by_one(line, Path(tempfile.mkdtemp(dir=folder)), clock)
        yield _audited(line, Path(tempfile.mkdtemp(dir=folder)), limit, cpu)


def batch(line: Line, folder: Path, ask: Callable[[int], list[Request]]) -> Run:
    """All parts, by `PROCESSES` processes with one ledger; raises unless every identity is delivered in it.

    Each part goes to the process that is free, as in a batch.
    """
    with Ledger.open(folder, "dev", create=True):
        pass
    context = multiprocessing.get_context("fork")
    ready, told, waiting = context.Barrier(PROCESSES + 1), context.SimpleQueue(), context.SimpleQueue()
    for number in (*range(PROCESSES * PARTS), *(None for _ in range(PROCESSES))):
        waiting.put(number)

    def work() -> None:
        with Ledger.open(folder, "dev", create=True) as ledger:
            ready.wait()
            begun = time.process_time()
            for number in iter(waiting.get, None):
                issue_part(line.authority, ask(number), ledger)
            told.put(time.process_time() - begun)

    running = [context.Process(target=work) for _ in range(PROCESSES)]
    for process in running:
        process.start()
    ready.wait()
    begun = time.perf_counter()
    for process in running:
        process.join()
    wall = time.perf_counter() - begun
    if any(process.exitcode for process in running):
        raise RuntimeError("a process of the benchmark failed")
    processor = sum(told.get() for _ in running)
    count = _delivered(folder)
    if count != PROCESSES * PARTS * PART_ROWS:
        raise RuntimeError(f"{count} identities are in the ledger, and others were asked for")
    return Run(wall=count / wall, processor=PROCESSES * count / processor)


def issue_part(authority: IssuingAuthority, requests: list[Request], ledger: Ledger) -> list[bytes]:
    """As a batch issues a part: durable, then in PEM, then delivered."""
    given = issue_many(
        [Wanted(request, PROFILE) for request in requests],
        authority,
        ledger,
        clock=lambda: datetime.now(UTC),
        new_serial=serials_of("0a"),
    )
    identities = [each for each in given if isinstance(each, Identity)]
    certificates = [pem_of(identity.der) for identity in identities]
    ledger.deliver_all(identities, at=datetime.now(UTC))
    return certificates


def _one_by_one(line: Line, folder: Path, clock: Clock) -> Result:
    """The slowest but one in a hundred."""
    times = []
    with Ledger.open(folder, "dev", create=True) as ledger:
        for name, pem in line.requests[:ALONE]:
            begun = clock()
            issue(
                checked(name, pem),
                line.authority,
                ledger,
                profile=PROFILE,
                clock=lambda: datetime.now(UTC),
                new_serial=serials_of("0a"),
                is_delivered=True,
            )
            times.append(clock() - begun)
    slow = statistics.quantiles(times, n=100)[-1] * 1000
    return compared(
        "one device, 99 of 100 within", slow, "ms", limit=STATION_MILLISECONDS, against="20 ms at a station"
    )


def _audited(line: Line, folder: Path, limit: Limit, cpu: Clock) -> Result:
    """In one process, which is the measure of several."""
    station = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    with Ledger.open(folder, "dev", create=True) as ledger:
        for number in range(PROCESSES * PARTS):
            issue_part(line.authority, line.from_requests(number), ledger)
        seal(ledger, station, "benchmark", at=datetime.now(UTC))
    question = Question(
        factory=folder,
        environment="dev",
        certificates={"line-a": line.authority.certificate.public_bytes(Encoding.DER)},
        vendors=frozenset(),
        stations=[public_key_der(station.public_key())],
        sample=Sample(share=SAMPLED_SHARE, offset=0),
        now=datetime.now(UTC),
    )
    begun = cpu()
    report = audit(question, jobs=1, progress=lambda _done, _total: None)
    seconds = cpu() - begun
    if report.findings:
        raise RuntimeError(f"the audit found {report.findings[0].text}")
    return compared(
        "audit, one process",
        report.identities / seconds,
        "identities/s",
        limit=limit.verifies,
        against="OpenSSL: one verify",
    )


def _generated(name: str) -> Request:
    """As `bulk.keys` makes them, all but the file."""
    key = KeyType.P256.generate()
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return Request.of_key(
        key.public_key(),
        encoded=public_half(private, KeyType.P256),
        device=parse_device_id(name),
        model="fl100",
        authority="line-a",
        key_type=KeyType.P256,
    )


def _delivered(folder: Path) -> int:
    with Ledger.open(folder, "dev") as ledger:
        (count,) = ledger.connection.execute("SELECT count(*) FROM identity WHERE is_delivered").fetchone()
    return int(count)
