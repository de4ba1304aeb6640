"""Every way in which ledger and cloud can differ, found and named; and nothing found where nothing differs."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.admission import ManifestEntry, Standing
from protocol.device_id import DeviceId
from provisioning.file_signer import FileSigner
from provisioning.ledger.records import Identity
from provisioning.reconcile.compare import Here, There, ThingThere, Trust, differences, second_identities
from provisioning.reconcile.finding import MEANINGS, Kind, Repair
from provisioning.reconcile.spool import Spool
from provisioning.signed_entry import SignedEntry, Voucher

OURS, ANOTHERS, STRANGER = (Voucher(FileSigner(ec.generate_private_key(ec.SECP256R1()))) for _ in range(3))
TRUST = Trust(keys={each.key_id: each.signer.public_key() for each in (OURS, ANOTHERS)}, ours=OURS.key_id)
GOOD = ManifestEntry(
    fingerprint="ab" * 32,
    device=DeviceId("device1"),
    model="fl50",
    authority="line-a",
    serial="1",
    not_after=datetime(2041, 1, 1, tzinfo=UTC),
    standing=Standing.GOOD,
)
ENDED = replace(GOOD, standing=Standing.REVOKED)
HERE = Here(entry=GOOD, is_told=True, is_noted=False)
GONE = Here(entry=ENDED, is_told=True, is_noted=False)
LISTED = There(item=OURS.vouch(GOOD).to_item(), status=None, thing=None, has_policy=False, is_attached=None)
THING = ThingThere(thing_type="fl50", model="fl50")
IN = replace(LISTED, status="ACTIVE", thing=THING, has_policy=True)


def found(here: Here | None, there: There) -> list[Kind]:
    return [finding.kind for finding in differences("ab" * 32, here, there, TRUST)]


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (HERE, LISTED),
        (HERE, IN),
        (HERE, replace(IN, is_attached=True)),
        (GONE, replace(LISTED, item=OURS.vouch(ENDED).to_item())),
        (GONE, replace(LISTED, item=OURS.vouch(ENDED).to_item(), status="REVOKED")),
        (Here(entry=GOOD, is_told=False, is_noted=False), replace(LISTED, item=None)),
        (None, replace(LISTED, item=ANOTHERS.vouch(GOOD).to_item())),
        (None, replace(IN, item=ANOTHERS.vouch(GOOD).to_item())),
        (None, replace(LISTED, item=OURS.vouch(ENDED).to_item(), status="REVOKED")),
    ],
    ids=[
        *("listed", "in", "attached", "ended", "ended, was in", "signed, not delivered"),
        *("another's", "another's, in", "taken back for a lost station"),
    ],
)
def test_what_is_as_it_should_be_is_no_difference(here: Here | None, there: There) -> None:
    assert found(here, there) == []


def changed(**changes: str) -> dict[str, str]:
    return OURS.vouch(GOOD).to_item() | changes


DIFFERENCES: list[tuple[Kind, Here | None, There]] = [
    (Kind.ROW_MISSING, HERE, replace(LISTED, item=None)),
    (Kind.ROW_NOT_REVOKED, GONE, LISTED),
    (Kind.ROW_REVOKED_THERE, HERE, replace(LISTED, item=OURS.vouch(ENDED).to_item())),
    (Kind.ROW_NOT_SIGNED, HERE, replace(LISTED, item=GOOD.to_item())),
    (Kind.ROW_NOT_SIGNED, HERE, replace(LISTED, item=STRANGER.vouch(GOOD).to_item())),
    (Kind.ROW_NOT_SIGNED, HERE, replace(LISTED, item=changed(signature="AAAA"))),
    (Kind.ROW_NOT_SIGNED, HERE, replace(LISTED, item=changed(signature="?"))),
    (Kind.ROW_DIFFERS, HERE, replace(LISTED, item=changed(device="device2"))),
    (Kind.ROW_DIFFERS, HERE, replace(LISTED, item=changed(common_name="element"))),
    (Kind.ROW_UNREADABLE, HERE, replace(LISTED, item=changed(not_after="tomorrow"))),
    (Kind.ROW_UNREADABLE, None, replace(LISTED, item={"fingerprint": "x"})),
    (Kind.ROW_UNKNOWN, None, replace(LISTED, item=STRANGER.vouch(GOOD).to_item())),
    (Kind.ROW_UNKNOWN, None, replace(LISTED, item=GOOD.to_item())),
    (Kind.ROW_LOST_HERE, None, LISTED),
    (Kind.ROW_LOST_HERE, None, IN),
    (Kind.CERTIFICATE_STANDS, GONE, replace(IN, item=OURS.vouch(ENDED).to_item())),
    (Kind.CERTIFICATE_MISSING, replace(HERE, is_noted=True), LISTED),
    (Kind.CERTIFICATE_PENDING, HERE, replace(LISTED, status="PENDING_ACTIVATION")),
    (Kind.CERTIFICATE_PENDING, None, replace(LISTED, item=None, status="PENDING_ACTIVATION")),
    (Kind.CERTIFICATE_TAKEN_OUT, HERE, replace(IN, status="INACTIVE")),
    (Kind.CERTIFICATE_TAKEN_OUT, HERE, replace(IN, status="REVOKED")),
    (Kind.CERTIFICATE_UNKNOWN, None, replace(IN, item=None)),
    (Kind.THING_MISSING, HERE, replace(IN, thing=None)),
    (Kind.THING_DIFFERS, HERE, replace(IN, thing=ThingThere(thing_type="fl100", model="fl50"))),
    (Kind.POLICY_MISSING, HERE, replace(IN, has_policy=False)),
    (Kind.NOT_ATTACHED, HERE, replace(IN, is_attached=False)),
]


@pytest.mark.parametrize(("kind", "here", "there"), DIFFERENCES)
def test_each_difference_is_found_and_nothing_else(kind: Kind, here: Here | None, there: There) -> None:
    assert found(here, there) == [kind]


SECOND = replace(GOOD, fingerprint="cd" * 32, authority="line-b")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def twice(*entries: ManifestEntry, now: datetime = NOW) -> list[tuple[Kind, str, str]]:
    items = [OURS.vouch(entry).to_item() for entry in entries]
    return [(found.kind, found.device, found.detail) for found in second_identities("device1", items, now)]


def test_two_good_identities_of_a_device_are_a_difference_that_names_both() -> None:
    named = f"{GOOD.fingerprint} of line-a, {SECOND.fingerprint} of line-b"
    assert twice(GOOD, SECOND) == [(Kind.SECOND_IDENTITY, "device1", named)]


@pytest.mark.parametrize(
    "entries",
    [(GOOD,), (ENDED, SECOND), (replace(GOOD, not_after=NOW), SECOND)],
    ids=["one", "after a rotation", "after the first has expired"],
)
def test_one_identity_that_stands_is_none(entries: tuple[ManifestEntry, ...]) -> None:
    assert twice(*entries) == []


def identity(entry: ManifestEntry) -> Identity:
    """As much of one as is spooled."""
    facts = SimpleNamespace(fingerprint=entry.fingerprint, issuance=1, device=entry.device, entry=entry)
    return cast("Identity", facts)


def test_a_device_with_several_certificates_is_found_on_both_sides_and_the_ledgers_word_counts(tmp_path: Path) -> None:
    def spooled(here: tuple[ManifestEntry, ...], rows: tuple[ManifestEntry, ...]) -> list[Kind]:
        with Spool.open(tmp_path) as spool:
            spool.put_here((identity(entry), True, False) for entry in here)
            spool.put_rows(entry.to_item() for entry in rows)
            found = [found.kind for each in spool.several() for found in second_identities(*each, NOW)]
        (tmp_path / "spool.db").unlink()
        return found

    assert spooled((GOOD,), (SECOND,)) == [Kind.SECOND_IDENTITY], "before this ledger told its own"
    assert spooled((GOOD,), (GOOD, SECOND)) == [Kind.SECOND_IDENTITY]
    assert spooled((), (GOOD, SECOND)) == [Kind.SECOND_IDENTITY], "both are others'"
    assert spooled((ENDED, SECOND), (GOOD, SECOND)) == [], "the next sync says that the first has ended"
    assert spooled((GOOD,), (GOOD,)) == []


def test_every_kind_can_be_found_and_says_who_acts() -> None:
    of_others = {Kind.THING_UNKNOWN, Kind.SECOND_IDENTITY}
    assert {kind for kind, _, _ in DIFFERENCES} | of_others == set(Kind) == set(MEANINGS)
    assert all(meaning.acts in ("station", "operator") and meaning.way_out for meaning in MEANINGS.values())


def test_nothing_is_ever_mended_that_would_let_more_in_than_the_ledger_does() -> None:
    for kind in (Kind.ROW_REVOKED_THERE, Kind.ROW_UNKNOWN, Kind.CERTIFICATE_TAKEN_OUT, Kind.CERTIFICATE_UNKNOWN):
        assert MEANINGS[kind].repair is None, kind
    assert MEANINGS[Kind.CERTIFICATE_STANDS].repair is Repair.WITHDRAW


@pytest.mark.parametrize("field", [name for name in GOOD.to_item() if name != "fingerprint"])
def test_a_signature_holds_for_every_field(field: str) -> None:
    item: dict[str, Any] = {**OURS.vouch(GOOD).to_item()}
    item[field] = {"standing": "revoked", "not_after": "2042-01-01T00:00:00+00:00"}.get(field, "other")
    assert not SignedEntry.from_item(item).is_vouched_for(TRUST.keys)
