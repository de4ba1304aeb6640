"""Revocation lists: the library's own bytes, and what independent judges say of them."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from protocol.device_id import DeviceId
from provisioning.certify import certify, to_be_signed
from provisioning.crl.entries import Revoked, encode_entries
from provisioning.crl.pem import as_pem
from provisioning.crl.revocation_list import Heading, extensions, make_list
from provisioning.errors import StationError
from provisioning.file_signer import FileSigner
from provisioning.ledger.records import Reason
from provisioning.profile import Validity, authority_name, device_builder, root_builder, years
from tests.provisioning.requests import p256

NOW = datetime.now(UTC).replace(microsecond=0)
LINT = Path(sys.executable).parent / "lint_crl"
KEY = p256()
SIGNER = FileSigner(KEY)
ISSUER = certify(
    to_be_signed(
        root_builder(
            name=authority_name("Test Line CA", "Test Fleet"),
            public_key=SIGNER.public_key(),
            validity=Validity.lasting(years(20), now=NOW),
            serial=x509.random_serial_number(),
        )
    ),
    SIGNER,
)
FLAGS = {
    Reason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    Reason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    Reason.SUPERSEDED: x509.ReasonFlags.superseded,
    Reason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    Reason.PRIVILEGE_WITHDRAWN: x509.ReasonFlags.privilege_withdrawn,
}
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # st wants it
REVOKED = st.builds(
    Revoked,
    serial=st.integers(min_value=1, max_value=(1 << 159) - 1),
    at=TIMES,
    reason=st.sampled_from(Reason),
    invalid_since=st.none() | TIMES,
)
HEADINGS = st.builds(
    Heading,
    number=st.integers(min_value=2, max_value=1 << 60),
    this_update=TIMES.map(lambda at: at.replace(microsecond=0)),
    next_update=st.just(datetime(2101, 1, 1, tzinfo=UTC)),
    base=st.none() | st.just(1),
)


def heading(number: int = 7, base: int | None = None, delta_url: str | None = None) -> Heading:
    return Heading(number=number, this_update=NOW, next_update=NOW + timedelta(days=7), base=base, delta_url=delta_url)


def built(stated: Heading, entries: Iterable[Revoked]) -> bytes:
    """The same list by the library's own builder."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ISSUER.subject)
        .last_update(stated.this_update)
        .next_update(stated.next_update)
    )
    for extension, is_critical in extensions(ISSUER, stated):
        builder = builder.add_extension(extension, critical=is_critical)
    for entry in entries:
        one = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.at)
        if entry.reason is not Reason.UNSPECIFIED:
            one = one.add_extension(x509.CRLReason(FLAGS[entry.reason]), critical=False)
        if entry.invalid_since is not None:
            since = entry.invalid_since.replace(tzinfo=None)
            one = one.add_extension(x509.InvalidityDate(since), critical=False)
        builder = builder.add_revoked_certificate(one.build())
    return builder.sign(KEY, hashes.SHA256()).tbs_certlist_bytes


@given(stated=HEADINGS, entries=st.lists(REVOKED, max_size=12, unique_by=lambda entry: entry.serial))
def test_a_list_has_the_bytes_of_the_librarys_builder(stated: Heading, entries: list[Revoked]) -> None:
    made = make_list(ISSUER, SIGNER, stated, entries)
    assert x509.load_der_x509_crl(made.der).tbs_certlist_bytes == built(stated, entries)
    assert made.count == len(entries)


@pytest.mark.parametrize("count", [1, 2, 4, 300, 2000, 8000])
def test_lengths_of_every_number_of_bytes_are_those_of_the_library(count: int) -> None:
    entries = [Revoked(serial=1 << bits % 150, at=NOW, reason=Reason.SUPERSEDED) for bits in range(count)]
    made = make_list(ISSUER, SIGNER, heading(), entries)
    crl = x509.load_der_x509_crl(made.der)
    assert crl.tbs_certlist_bytes == built(heading(), entries)
    assert as_pem(made.der) == crl.public_bytes(Encoding.PEM)


@pytest.mark.parametrize("serial", [0, -1, 1 << 159])
def test_a_serial_that_no_certificate_can_have_is_refused(serial: int) -> None:
    with pytest.raises(ValueError, match="positive number of at most 20 bytes"):
        list(encode_entries([Revoked(serial=serial, at=NOW, reason=Reason.UNSPECIFIED)]))


def test_a_heading_that_contradicts_itself_cannot_be_written_down() -> None:
    with pytest.raises(ValueError, match="later, not earlier"):
        Heading(number=1, this_update=NOW, next_update=NOW)
    with pytest.raises(ValueError, match="greater number than its base"):
        heading(number=3, base=3)
    with pytest.raises(ValueError, match="names no deltas"):
        heading(number=3, base=2, delta_url="http://crl.example.com/delta.crl")


def test_a_list_that_another_key_signed_is_never_given_out() -> None:
    class Muddled:
        def public_key(self) -> object:
            return SIGNER.public_key()

        def sign(self, message: bytes) -> bytes:
            return FileSigner(p256()).sign(message)

    with pytest.raises(StationError, match="does not verify"):
        make_list(ISSUER, Muddled(), heading(), [])  # type: ignore[arg-type]  # it lies about its key on purpose


def device(number: int) -> x509.Certificate:
    builder = device_builder(
        device=DeviceId(f"device{number}"),
        public_key=p256().public_key(),
        issuer=ISSUER,
        validity=Validity.lasting(years(1), now=NOW),
        serial=1000 + number,
    )
    return certify(to_be_signed(builder), SIGNER)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a full list, a delta to it, both without entries, and two devices of which the first is revoked."""
    folder = tmp_path_factory.mktemp("crl")
    (folder / "ca.pem").write_bytes(ISSUER.public_bytes(Encoding.PEM))
    for number in (1, 2):
        (folder / f"device{number}.pem").write_bytes(device(number).public_bytes(Encoding.PEM))
    entries = [
        Revoked(serial=1001, at=NOW, reason=Reason.KEY_COMPROMISE, invalid_since=NOW - timedelta(days=3)),
        Revoked(serial=77, at=NOW - timedelta(days=1), reason=Reason.UNSPECIFIED),
    ]
    url = "http://crl.example.com/line-a.delta.crl"
    lists = {
        "full": make_list(ISSUER, SIGNER, heading(delta_url=url), entries),
        "delta": make_list(ISSUER, SIGNER, heading(number=8, base=7), entries[:1]),
        "empty": make_list(ISSUER, SIGNER, heading(), []),
        "empty-delta": make_list(ISSUER, SIGNER, heading(number=8, base=7), []),
    }
    for name, made in lists.items():
        pem = x509.load_der_x509_crl(made.der).public_bytes(Encoding.PEM)
        (folder / f"{name}.pem").write_bytes(pem)
    return folder


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONWARNINGS": "", "PATH": PATH}
    )


PATH = "/usr/bin:/bin:/usr/sbin"


@pytest.mark.judge
@pytest.mark.parametrize("name", ["full", "delta", "empty", "empty-delta"])
def test_pkilint_has_neither_error_nor_warning(name: str, judged: Path) -> None:
    told = run(LINT, "lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", judged / f"{name}.pem")
    assert (told.returncode, told.stdout.strip(), told.stderr.strip()) == (0, "", "")


@pytest.mark.judge
@pytest.mark.parametrize("name", ["full", "delta", "empty", "empty-delta"])
def test_openssl_and_gnutls_verify_every_list(name: str, judged: Path) -> None:
    told = run("openssl", "crl", "-in", judged / f"{name}.pem", "-CAfile", judged / "ca.pem", "-noout")
    assert told.stderr.strip() == "verify OK"
    told = run(
        "certtool", "--verify-crl", "--load-ca-certificate", judged / "ca.pem", "--infile", judged / f"{name}.pem"
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Verified." in told.stdout


@pytest.mark.judge
def test_openssl_refuses_a_revoked_device_by_the_list_and_accepts_another(judged: Path) -> None:
    def verify(device: str, *more: str | Path) -> subprocess.CompletedProcess[str]:
        return run(
            *("openssl", "verify", "-x509_strict", "-crl_check", "-CAfile", judged / "ca.pem"),
            *("-CRLfile", judged / "full.pem", *more, judged / device),
        )

    assert verify("device2.pem").returncode == 0
    refused = verify("device1.pem")
    assert refused.returncode == 2
    assert "certificate revoked" in refused.stderr
    # With its delta, too: the base and the delta belong together for OpenSSL.
    both = judged / "both.pem"
    both.write_bytes((judged / "full.pem").read_bytes() + (judged / "delta.pem").read_bytes())
    with_delta = run(
        *("openssl", "verify", "-crl_check", "-extended_crl", "-use_deltas", "-CAfile", judged / "ca.pem"),
        *("-CRLfile", both, judged / "device1.pem"),
    )
    assert "certificate revoked" in with_delta.stderr


def test_the_library_reads_back_what_was_put_in(judged: Path) -> None:
    crl = x509.load_pem_x509_crl((judged / "full.pem").read_bytes())
    found = crl.get_revoked_certificate_by_serial_number(1001)
    assert found is not None
    assert found.revocation_date_utc == NOW
    assert found.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    since = found.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
    assert since == NOW - timedelta(days=3)
    unspecified = crl.get_revoked_certificate_by_serial_number(77)
    assert unspecified is not None
    assert len(unspecified.extensions) == 0
    delta = x509.load_pem_x509_crl((judged / "delta.pem").read_bytes())
    indicator = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert (indicator.critical, indicator.value.crl_number) == (True, 7)


def test_the_judges_are_there() -> None:
    assert all(shutil.which(judge) for judge in ("openssl", "certtool"))
