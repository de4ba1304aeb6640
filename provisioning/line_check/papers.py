"""What can be checked without a network: key, certificate, chain, and that the ledger issued it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from protocol.bundle import BUNDLE_FILE, CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE, Bundle, read_bundle
from protocol.device_id import DeviceId
from provisioning.authority import is_of_key
from provisioning.errors import RefusedError, StationError
from provisioning.key_file import read_device_key
from provisioning.line_check.outcome import LineCheckError, Question


@dataclass(frozen=True, kw_only=True)
class Papers:
    """A device's bundle and key, read."""

    bundle: Bundle
    chain: tuple[x509.Certificate, ...]
    chain_file: Path
    key_file: Path
    trust_anchors_file: Path

    @property
    def device(self) -> DeviceId:
        """Whose."""
        return self.bundle.device_id

    @classmethod
    def read(cls, folder: Path, device: DeviceId, *, key: Path | None = None) -> "Papers":
        """The papers in a bundle's folder; `RefusedError` when the folder is not this device's bundle."""
        try:
            bundle = read_bundle(folder)
            chain = tuple(x509.load_pem_x509_certificates((folder / CHAIN_FILE).read_bytes()))
        except (OSError, ValidationError, ValueError, x509.InvalidVersion) as error:
            raise RefusedError(f"{folder}: is no whole bundle ({error}); issue it again into this folder") from error
        if bundle.device != device:
            raise RefusedError(f"{folder / BUNDLE_FILE}: is of device {bundle.device}, not of {device}; give its own")
        return cls(
            bundle=bundle,
            chain=chain,
            chain_file=folder / CHAIN_FILE,
            key_file=key or folder / KEY_FILE,
            trust_anchors_file=folder / TRUST_ANCHORS_FILE,
        )


def check_key(papers: Papers) -> str:
    """The key belongs to the certificate."""
    if not papers.key_file.exists():
        why = (
            f"{papers.key_file} is not there; a key that stays in the device can only be tried by the device: "
            f"let the board connect by itself, or give --key FILE"
        )
        raise LineCheckError(Question.KEY, why, acts="line")
    try:
        key = read_device_key(papers.key_file)
    except StationError as error:
        raise LineCheckError(Question.KEY, str(error), acts="line") from error
    if not is_of_key(papers.chain[0], key.public_key()):
        why = f"{papers.key_file} is another key; program the board with the key whose request was certified"
        raise LineCheckError(Question.KEY, why, acts="line")
    return papers.key_file.name


def check_chain(papers: Papers, *, issued: str | None, now: datetime) -> str:
    """Each certificate is signed by the next, all are valid now, and the first is the one the ledger issued."""
    leaf = papers.chain[0]
    names = [attribute.value for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [papers.device]:
        why = f"the certificate is of {', '.join(map(str, names)) or 'nobody'}; issue this device's again"
        raise LineCheckError(Question.CHAIN, why, acts="line")
    for certificate, issuer in zip(papers.chain, papers.chain[1:], strict=False):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            why = f"{certificate.subject.rfc4514_string()} was not signed by the next in the chain; issue it again"
            raise LineCheckError(Question.CHAIN, why, acts="station") from error
    for certificate in papers.chain:
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            why = (
                f"{certificate.subject.rfc4514_string()} is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
                f"{certificate.not_valid_after_utc:%Y-%m-%d}, and it is {now:%Y-%m-%d}; set this station's clock"
            )
            raise LineCheckError(Question.CHAIN, why, acts="station")
    if issued is None:
        why = "no identity of this device in this ledger is delivered and in good standing; issue it"
        raise LineCheckError(Question.CHAIN, why, acts="line")
    if leaf.fingerprint(hashes.SHA256()).hex() != issued:
        why = "the ledger issued another certificate to this device; write that one's bundle by issuing again"
        raise LineCheckError(Question.CHAIN, why, acts="line")
    return f"{len(papers.chain)} certificates, until {leaf.not_valid_after_utc:%Y-%m-%d}"
