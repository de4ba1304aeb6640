"""Many identities in a factory's ledger, in a few commits: for tests of what comes after issuing."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.certify import certify
from provisioning.draft import draft
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Prepared, Signed
from provisioning.request import Request
from provisioning.station import Station
from tests.provisioning.factory import Factory
from tests.provisioning.requests import p256

AT_ONCE = 500


def open_station(factory: Factory) -> Station:
    return Station.open(
        stack="dev",
        factory=factory.folder,
        authorities=factory.authorities,
        trust_anchors=factory.authorities / "line-a.pem",
        ask=lambda _: "",
    )


def issue_many(factory: Factory, count: int, prefix: str = "many") -> list[Identity]:
    """Delivered identities of devices `many-0` and so on."""
    station = open_station(factory)
    authority = station.authority("line-a")
    issued: list[Identity] = []
    now = datetime.now(UTC)
    with Ledger.open(factory.folder, "dev", create=True) as ledger:
        for first in range(0, count, AT_ONCE):
            intents = []
            for number in range(first, min(first + AT_ONCE, count)):
                order = station.order(device=f"{prefix}-{number}", model="fl50", authority="line-a")
                request = Request.of_key(
                    p256().public_key(),
                    device=order.device,
                    model=order.model,
                    authority=order.authority,
                    key_type=order.profile.key_type,
                )
                serial = x509.random_serial_number()
                intents.append(draft(request, authority.template, profile=order.profile, now=now, serial=serial))
            prepared = [each for each in ledger.prepare_all(intents, at=now) if isinstance(each, Prepared)]
            signed = [
                Signed(each, certify(each.to_be_signed, authority.signer).public_bytes(Encoding.DER))
                for each in prepared
            ]
            recorded = [each for each in ledger.record_all(signed, at=now) if isinstance(each, Identity)]
            ledger.deliver_all(recorded, at=now)
            issued += recorded
    assert len(issued) == count
    return issued
