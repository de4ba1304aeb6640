"""Vendors of secure elements, as far as their files go: the shapes are theirs, the keys are made here.

The shapes were taken from manifests that the vendors publish: ECC608C-TNGTLSU-B (Microchip), a list of ESP32-S3 modules
(Espressif) and a bundle of OPTIGA Trust M Express (Infineon).
"""

import base64
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import py7zr
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jws
from joserfc.jwk import ECKey

from tests.provisioning.requests import name, p256, rsa_key

NOW = datetime.now(UTC).replace(microsecond=0)
FOR_EVER = timedelta(days=365 * 28)
"""Microchip's elements last 28 years, longer than their signer."""

EUI48 = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("2.5.29.17"),
    bytes.fromhex("3021a41f301d311b301906035504051312") + b"eui48_000000000000",
)
"""The alternative name in Microchip's certificates: a directory name whose serial number is a PrintableString with an
underscore, which it may not have. `cryptography` refuses to read any extension beside it."""


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def usage(*, signs: bool = True, certifies: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, not certifies, certifies, certifies, False, False)  # noqa: FBT003  # nine of them


@dataclass
class Vendor:
    """A vendor with a signer of certificates and a signer of manifests."""

    organization: str = "Microchip Technology Inc"
    key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    manifest_key: ec.EllipticCurvePrivateKey = field(default_factory=p256)

    def __post_init__(self) -> None:
        self.signer = self.certificate(
            name(ORGANIZATION_NAME=self.organization, COMMON_NAME="Crypto Authentication Signer 2A00"),
            self.key.public_key(),
            is_authority=True,
            lasts=timedelta(days=365 * 23),
        )
        subject = name(ORGANIZATION_NAME=self.organization, COMMON_NAME="Manifest Signer 005")
        self.manifest_signer = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self.manifest_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=2))
            .not_valid_after(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.manifest_key.public_key()), critical=False)
            .sign(self.manifest_key, hashes.SHA256())
        )

    def certificate(
        self,
        subject: x509.Name,
        public_key: Any,
        *,
        is_authority: bool = False,
        begins: timedelta = timedelta(days=-1),
        lasts: timedelta = FOR_EVER,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] | None = None,
        serial: int | None = None,
    ) -> x509.Certificate:
        """A certificate by the signer; `extensions` replace the usual ones."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if is_authority else self.signer.subject)
            .public_key(public_key)
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(NOW + begins)
            .not_valid_after(NOW + begins + lasts)
        )
        usual = (
            (x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), True),
            (usage(certifies=is_authority), True),
            (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
            *(() if is_authority else ((EUI48, False),)),
        )
        for extension, critical in usual if extensions is None else extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.key, hashes.SHA256())

    def element(self, serial: str, **changes: Any) -> tuple[ec.EllipticCurvePublicKey, x509.Certificate]:
        """A key in an element, and its certificate."""
        key = p256().public_key()
        subject = name(ORGANIZATION_NAME=self.organization, COMMON_NAME=f"sn{serial.upper()}")
        return key, self.certificate(subject, key, **changes)

    def entry(self, serial: str, **changes: Any) -> dict[str, Any]:
        """A signed element of a Microchip manifest."""
        key, certificate = self.element(serial, **changes)
        return self.signed(self.payload(serial, key, certificate))

    def payload(self, serial: str, key: ec.EllipticCurvePublicKey, certificate: x509.Certificate) -> dict[str, Any]:
        unit = {"organizationName": self.organization, "organizationalUnitName": "Secure Products Group"}
        chain = [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in (certificate, self.signer)]
        others = [{"kid": str(slot), **jwk(p256().public_key())} for slot in range(1, 5)]
        return {
            "version": 1,
            "model": "ATECC608C",
            "partNumber": "ATECC608C-TNGTLSU-B",
            "manufacturer": unit,
            "provisioner": unit,
            "distributor": {**unit, "organizationalUnitName": "Microchip Direct"},
            "groupId": "P5C8Q2TDYWLQ7HB4",
            "provisioningTimestamp": "2025-06-01T20:14:53.773Z",
            "uniqueId": serial,
            "publicKeySet": {"keys": [{"kid": "0", **jwk(key), "x5c": chain}, *others]},
        }

    def signed(self, payload: dict[str, Any], **header: str) -> dict[str, Any]:
        protected = {"alg": "ES256", "kid": self.kid, "typ": "JWT", "x5t#S256": self.thumbprint, **header}
        key = ECKey.import_key(self.manifest_key)
        compact = jws.serialize_compact(protected, json.dumps(payload), key, algorithms=["ES256"])
        first, second, third = compact.split(".")
        outside = {"uniqueId": payload.get("uniqueId")}
        return {"payload": second, "protected": first, "header": outside, "signature": third}

    @property
    def kid(self) -> str:
        found = self.manifest_signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return base64url(found.value.digest)

    @property
    def thumbprint(self) -> str:
        return base64url(self.manifest_signer.fingerprint(hashes.SHA256()))

    def manifest(self, *serials: str) -> bytes:
        return json.dumps([self.entry(serial) for serial in serials], indent=2).encode()

    def modules(self, *macs: str) -> bytes:
        """A list of Espressif modules, with RSA keys as their signature peripheral has them."""
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["MAC", "cn", "cert"])
        for number, mac in enumerate(macs):
            common_name = f"6d1d54ba-ed81-4c32-8e08-f9f8c885{number:04x}"
            subject = name(ORGANIZATION_NAME="Espressif Systems", COMMON_NAME=common_name)
            pem = self.certificate(subject, RSA[number % len(RSA)].public_key()).public_bytes(Encoding.PEM).decode()
            rows.writerow([mac, common_name, pem])
        return text.getvalue().encode()

    def bundle(self, *serials: str, slots: Sequence[str] = ("E0E0",)) -> bytes:
        """A bundle of Infineon: an archive for each slot, a file for each chip."""
        return packed({f"Reel_{slot}_Certs.7z": self.certificates(*serials) for slot in slots})

    def certificates(self, *serials: str) -> bytes:
        pem = {serial: self.element(serial)[1].public_bytes(Encoding.PEM) for serial in serials}
        return packed({f"{serial}.pem": data for serial, data in pem.items()})


RSA = [rsa_key(2048), rsa_key(2048)]


def jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    point = key.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url(point.x.to_bytes(32, "big")),
        "y": base64url(point.y.to_bytes(32, "big")),
    }


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as archive:
        for path, data in files.items():
            archive.writestr(data, path)
    return buffer.getvalue()
