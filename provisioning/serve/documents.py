"""What the API takes and gives, as its OpenAPI description shows it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints

from protocol.admission import Standing
from protocol.bundle import BUNDLE_FILE, CHAIN_FILE, TRUST_ANCHORS_FILE
from protocol.device_id import MAX_DEVICE_ID_CHARACTERS
from provisioning.ledger.records import Identity, Reason
from provisioning.request import MAX_CSR_BYTES
from provisioning.serve.readiness import Check
from stacks.environment import Frozen

DEVICE_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
"""`protocol.device_id`: a DNS label in lower case."""
MAX_NOTE_CHARACTERS = 500
EXAMPLE_CSR = """\
-----BEGIN CERTIFICATE REQUEST-----
MIG6MGICAQAwADBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABClk/v/6XgUOtM/Z
0SCVdBT1qUvFmNXbkgvT6pi0xdAAY+pusEtTBuHImBXqNPYU8AsUw3sRL459XiAA
pjbuEqKgADAKBggqhkjOPQQDAgNIADBFAiEAzgPlMmkAO18Sfwtvw51uGOTR8N1R
5X8/zLsrLK9qyhsCIGLslYBOuooT1dthA1ediPYIugcsgVg46eJY1EYRExD7
-----END CERTIFICATE REQUEST-----
"""
"""Of a key that nobody kept."""

DeviceName = Annotated[str, StringConstraints(pattern=DEVICE_PATTERN, max_length=MAX_DEVICE_ID_CHARACTERS)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class IdentityRequest(Frozen):
    """A device, what it is, who signs for it, and its certificate request."""

    device: DeviceName = Field(description="Its id: its name in DNS, MQTT and its certificate.", examples=["device1"])
    model: _Name = Field(description="The hardware model, as the factory file names it.", examples=["fl100"])
    authority: _Name = Field(description="The issuing authority, as the factory file names it.", examples=["line-a"])
    csr: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CSR_BYTES)] = Field(
        description="The device's certificate request (PKCS #10) in PEM: its key, and the proof that it has it.",
        examples=[EXAMPLE_CSR],
    )


class Retirement(Frozen):
    """Why an identity ends."""

    reason: Annotated[Reason, Field(strict=False)] = Field(description="As revocation lists say it (RFC 5280).")
    note: Annotated[str, StringConstraints(max_length=MAX_NOTE_CHARACTERS)] = Field(
        default="", description="In your own words, for who reads the ledger later."
    )


class BundleDocument(Frozen):
    """What goes into the device beside its own key; docs/connect-a-device.md says what each is for."""

    bundle: dict[str, Any] = Field(description=f"The content of {BUNDLE_FILE}.")
    chain: str = Field(description=f"The content of {CHAIN_FILE}: its certificate, then its issuer's.")
    trust_anchors: str = Field(description=f"The content of {TRUST_ANCHORS_FILE}: the roots it accepts for servers.")

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Self:
        """The document of a bundle's files."""
        return cls(
            bundle=json.loads(files[BUNDLE_FILE]),
            chain=files[CHAIN_FILE].decode("ascii"),
            trust_anchors=files[TRUST_ANCHORS_FILE].decode("ascii"),
        )


class IdentityDocument(Frozen):
    """An identity on record. Whoever reads this has something that no power cut can take back."""

    device: str
    model: str
    authority: str
    serial: str = Field(description="Lower-case hex.")
    fingerprint: str = Field(description="SHA-256 of the certificate: its id in AWS IoT.")
    not_after: datetime
    standing: Standing
    files: BundleDocument | None = Field(description="Null once it has ended, or where its issuer is not known here.")

    @classmethod
    def of(cls, identity: Identity, files: Mapping[str, bytes] | None) -> Self:
        """The document of an identity."""
        entry = identity.entry
        return cls(
            device=entry.device,
            model=entry.model,
            authority=entry.authority,
            serial=entry.serial,
            fingerprint=entry.fingerprint,
            not_after=entry.not_after,
            standing=entry.standing,
            files=None if files is None else BundleDocument.of(files),
        )


class Ended(Frozen):
    """The end of an identity, in the ledger. Clusters learn of it with the next `sync`."""

    device: str
    is_new: bool = Field(description="False where it had ended before.")


class Health(Frozen):
    """The process lives; whether it can issue is another question (`/ready`)."""

    is_alive: bool = True


class Readiness(Frozen):
    """Whether this station can issue now."""

    is_ready: bool
    checks: tuple[Check, ...]
