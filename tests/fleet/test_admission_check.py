"""Whom a cluster would let in, as a table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fleet.routing.admission_check import Known, Place, refusals
from protocol.admission import ManifestEntry, Standing
from protocol.device_id import DeviceId, parse_device_id

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DEVICE = parse_device_id("d1")
PLACE = Place(cluster="us1", manifest_table="manifest", policy="device", authorities={"line-a": "ca"})
ENTRY = ManifestEntry(
    fingerprint="ab" * 32,
    device=DEVICE,
    model="fl100",
    authority="line-a",
    serial="01",
    not_after=NOW + timedelta(seconds=1),
    standing=Standing.GOOD,
)
REVOKED = replace(ENTRY, fingerprint="cd" * 32, standing=Standing.REVOKED)


def known(*entries: ManifestEntry, status: str | None = None) -> Known:
    return Known(
        manifest={DEVICE: entries},
        certificates={} if status is None else {ENTRY.fingerprint: status},
        active_authorities=frozenset({"line-a"}),
        has_policy=True,
    )


def refused(place: Known, now: datetime = NOW) -> dict[DeviceId, str]:
    return refusals(PLACE, [DEVICE], place, now=now)


@pytest.mark.parametrize("status", [None, "PENDING_ACTIVATION", "ACTIVE"])
def test_a_good_identity_is_admitted_whether_or_not_it_was_there_before(status: str | None) -> None:
    assert refused(known(ENTRY, status=status)) == {}


def test_a_second_identity_does_no_harm_if_one_is_good() -> None:
    assert refused(known(REVOKED, ENTRY)) == {}


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (known(), "its manifest does not list the device; run: python -m provisioning sync"),
        (known(REVOKED), "its certificate cdcdcdcdcdcd is revoked; issue another"),
        (known(ENTRY, status="INACTIVE"), "is INACTIVE there: someone took it out"),
        (known(ENTRY, status="REVOKED"), "is REVOKED there"),
        (known(ENTRY, status="A_STATUS_OF_TOMORROW"), "is A_STATUS_OF_TOMORROW there"),
        (replace(known(ENTRY), active_authorities=frozenset()), "authority line-a is not registered and active there"),
        (replace(known(ENTRY), has_policy=False), "there is no IoT policy device; deploy the environment"),
        (known(REVOKED, replace(ENTRY, authority="line-z")), "authority line-z is not registered"),
    ],
)
def test_a_device_that_would_stay_out_is_refused_with_the_way_out(place: Known, says: str) -> None:
    reasons = refused(place)
    assert list(reasons) == [DEVICE]
    assert reasons[DEVICE].startswith("us1: ")
    assert says in reasons[DEVICE]


def test_an_identity_is_refused_from_the_second_it_ends() -> None:
    assert refused(known(ENTRY), ENTRY.not_after - timedelta(seconds=1)) == {}
    assert "was valid until 2026-03-01" in refused(known(ENTRY), ENTRY.not_after)[DEVICE]
