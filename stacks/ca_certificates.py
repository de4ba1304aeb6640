"""The certificates of issuing authorities, found beside the stack files: public data that a reviewer sees."""

from datetime import UTC, date, datetime, time
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from stacks.environment import CaCertificate, Environment
from stacks.errors import Problem, StackError

CURVES = ("secp256r1", "secp384r1")
"""P-256 and P-384 (AWS IoT Core, certificate signing algorithms)."""
MIN_RSA_BITS = 2048
"""AWS IoT Core, certificate signing algorithms."""


def find_ca_certificates(environment: Environment, directory: Path, *, today: date) -> dict[str, CaCertificate]:
    """Authority to certificate, of those in `<directory>/<authority>.pem`; an absent file is one not made yet.

    A file that is no usable certificate of that authority on `today` is a `StackError`, which tells of all of them.
    """
    found: dict[str, CaCertificate] = {}
    problems: list[Problem] = []
    for name, authority in environment.authorities.items():
        path = directory / f"{name}.pem"
        if not path.exists():
            continue
        try:
            certificate = _read(path)
            _check(certificate, authority.common_name, today)
        except _UnusableError as error:
            problems.append(Problem(file=str(path), rule=error.rule, way_out=error.way_out))
        else:
            pem = certificate.public_bytes(Encoding.PEM).decode("ascii")
            found[name] = CaCertificate(authority=name, pem=pem, not_after=certificate.not_valid_after_utc)
    if problems:
        raise StackError(problems)
    return found


class _UnusableError(Exception):
    def __init__(self, rule: str, way_out: str = "make it with `python -m provisioning ceremony`") -> None:
        super().__init__(rule)
        self.rule = rule
        self.way_out = way_out


def _read(path: Path) -> x509.Certificate:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _UnusableError(f"it cannot be read ({error.strerror})", "check its permissions") from error
    if b"PRIVATE KEY" in data:
        way_out = "delete it, treat that key as lost to others, and put the certificate alone here"
        raise _UnusableError("it holds a private key, which has no place beside a stack file", way_out)
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except (ValueError, x509.InvalidVersion) as error:
        raise _UnusableError(f"it is no certificate in PEM ({error})") from error
    if len(certificates) != 1:
        rule = f"it holds {len(certificates)} certificates, and an authority has one"
        raise _UnusableError(rule, "keep the issuing CA's certificate alone, without its root")
    return certificates[0]


def _check(certificate: x509.Certificate, common_name: str, today: date) -> None:
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [common_name]:
        given = " and ".join(map(repr, names)) or "none"
        way_out = "put the right file here, or correct common_name in the stack file"
        raise _UnusableError(f"its subject has common name {given}, and the stack file says {common_name!r}", way_out)
    if not _is_ca(certificate):
        raise _UnusableError("it is no CA certificate (basic constraints must say CA:TRUE)")
    if certificate.not_valid_after_utc < datetime.combine(today, time.min, UTC):
        rule = f"it expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        raise _UnusableError(
            rule, "make its successor with `python -m provisioning ceremony`, and keep both keys' devices known"
        )
    _check_key(certificate)


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return False


def _check_key(certificate: x509.Certificate) -> None:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _UnusableError(f"its key cannot be read ({error})") from error
    strong_curve = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES
    strong_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS
    if not (strong_curve or strong_rsa):
        raise _UnusableError(
            f"its key is none that AWS IoT takes: P-256, P-384, or RSA of at least {MIN_RSA_BITS} bits"
        )
