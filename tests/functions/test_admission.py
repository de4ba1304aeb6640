from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.admission import Admit, Place, Reason, Refuse, Registered, Settled, Thing, decide, thing_attributes
from functions.certificate import read_certificate
from protocol.admission import ManifestEntry, Standing
from tests.functions.throwaway_identity import NOW, YEAR, Authority, Identity

AUTHORITY = Authority()
DEVICE1 = AUTHORITY.issue("device1")
REPLACEMENT = AUTHORITY.issue("device1")
DEVICE2 = AUTHORITY.issue("device2")
EMPTY = Place(model_known=True, thing=None)
SECOND = timedelta(seconds=1)


def registered(identity: Identity, status: str = "PENDING_ACTIVATION") -> Registered:
    return Registered(certificate_id=identity.fingerprint, status=status, facts=read_certificate(identity.pem))


def revoked(identity: Identity) -> ManifestEntry:
    return replace(identity.entry, standing=Standing.REVOKED)


def thing(
    *others: ManifestEntry, of: ManifestEntry = DEVICE1.entry, thing_type: str | None = "fl100", unlisted: int = 0
) -> Place:
    """A thing made for the identity `of`, which holds the certificates `others` and some that nobody listed."""
    attached: dict[str, ManifestEntry | None] = {other.fingerprint: other for other in others}
    attached |= {f"{number:064x}": None for number in range(unlisted)}
    return Place(model_known=True, thing=Thing(thing_type=thing_type, attributes=thing_attributes(of), others=attached))


def reason_of(
    identity: Identity, entry: ManifestEntry | None, place: Place = EMPTY, *, now: datetime = NOW
) -> Reason | None:
    outcome = decide(registered(identity), entry, place, now=now)
    return outcome.reason if isinstance(outcome, Refuse) else None


def test_a_listed_certificate_is_admitted_as_the_thing_the_manifest_names() -> None:
    entry = DEVICE1.entry
    assert decide(registered(DEVICE1), entry, EMPTY, now=NOW) == Admit(
        thing_name="device1",
        thing_type="fl100",
        attributes={"model": "fl100", "authority": "line-a", "serial": entry.serial},
        makes_thing=True,
    )


def test_a_certificate_that_no_manifest_lists_is_refused_and_told_how_to_get_in() -> None:
    outcome = decide(registered(DEVICE1), None, EMPTY, now=NOW)
    assert isinstance(outcome, Refuse)
    assert outcome.reason is Reason.NOT_IN_MANIFEST
    assert "provisioning sync" in outcome.detail


def test_a_revoked_identity_is_refused() -> None:
    assert reason_of(DEVICE1, revoked(DEVICE1)) is Reason.REVOKED


def test_the_entry_of_another_certificate_admits_nobody() -> None:
    assert reason_of(DEVICE1, REPLACEMENT.entry) is Reason.WRONG_FINGERPRINT


def test_a_certificate_whose_bytes_are_not_what_its_id_says_is_refused() -> None:
    lying = replace(registered(REPLACEMENT), certificate_id=DEVICE1.fingerprint)
    outcome = decide(lying, DEVICE1.entry, EMPTY, now=NOW)
    assert isinstance(outcome, Refuse)
    assert outcome.reason is Reason.WRONG_FINGERPRINT


@pytest.mark.parametrize("names", [("device2",), ("device1", "device2"), ("DEVICE1",)])
def test_a_certificate_must_name_the_manifests_device_and_only_it(names: tuple[str, ...]) -> None:
    identity = AUTHORITY.issue("device1", *names)
    assert reason_of(identity, identity.entry) is Reason.WRONG_NAME


def test_a_vendors_certificate_must_have_the_name_that_the_manifest_says_it_has() -> None:
    identity = AUTHORITY.issue("device1", "sn0123F2408EA1FCF201")
    vendors = replace(identity.entry, common_name="sn0123F2408EA1FCF201")
    assert reason_of(identity, vendors) is None
    assert reason_of(identity, replace(vendors, common_name="sn0123f2408ea1fcf201")) is Reason.WRONG_NAME
    ours = AUTHORITY.issue("device1")
    assert reason_of(ours, replace(ours.entry, common_name="sn0123F2408EA1FCF201")) is Reason.WRONG_NAME


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW - YEAR - SECOND, Reason.NOT_YET_VALID),
        (NOW - YEAR, None),
        (NOW + YEAR - SECOND, None),
        (NOW + YEAR, Reason.EXPIRED),
    ],
)
def test_admission_keeps_to_the_certificates_life_to_the_second(now: datetime, reason: Reason | None) -> None:
    assert reason_of(DEVICE1, DEVICE1.entry, now=now) is reason


def test_the_manifest_may_end_an_identity_before_its_certificate_does() -> None:
    assert reason_of(DEVICE1, replace(DEVICE1.entry, not_after=NOW)) is Reason.EXPIRED


def test_a_model_that_is_not_deployed_is_refused() -> None:
    assert reason_of(DEVICE1, DEVICE1.entry, Place(model_known=False, thing=None)) is Reason.UNKNOWN_MODEL


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED", "PENDING_TRANSFER", "REGISTER_INACTIVE"])
def test_a_certificate_someone_took_out_is_never_brought_back_by_an_event(status: str) -> None:
    outcome = decide(registered(DEVICE1, status), DEVICE1.entry, EMPTY, now=NOW)
    assert isinstance(outcome, Refuse)
    assert outcome.reason is Reason.NOT_PENDING


def test_an_active_certificate_is_settled_whatever_else_is_true() -> None:
    assert decide(registered(DEVICE1, "ACTIVE"), None, EMPTY, now=NOW) == Settled()


def test_a_thing_of_an_earlier_try_is_the_devices_own() -> None:
    outcome = decide(registered(DEVICE1), DEVICE1.entry, thing(), now=NOW)
    assert isinstance(outcome, Admit)
    assert not outcome.makes_thing


def test_a_second_identity_stays_out_while_the_first_stands_and_is_told_which_that_is() -> None:
    first = replace(DEVICE1.entry, authority="line-b")
    outcome = decide(registered(REPLACEMENT), REPLACEMENT.entry, thing(first), now=NOW)
    assert isinstance(outcome, Refuse)
    assert outcome.reason is Reason.SECOND_IDENTITY
    assert f"{DEVICE1.fingerprint} of line-b" in outcome.detail


EXPIRED = replace(DEVICE1.entry, not_after=NOW)


@pytest.mark.parametrize("place", [thing(), thing(EXPIRED)], ids=["after the first was detached", "after its end"])
def test_a_second_identity_joins_the_thing_of_the_first_once_that_is_over(place: Place) -> None:
    assert isinstance(decide(registered(REPLACEMENT), REPLACEMENT.entry, place, now=NOW), Admit)


def test_a_certificate_that_ends_in_a_second_still_stands() -> None:
    ending = replace(DEVICE1.entry, not_after=NOW + SECOND)
    assert reason_of(REPLACEMENT, REPLACEMENT.entry, thing(ending)) is Reason.SECOND_IDENTITY


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (thing(revoked(REPLACEMENT)), Reason.OTHER_CERTIFICATE),
        (thing(DEVICE2.entry), Reason.OTHER_CERTIFICATE),
        (thing(unlisted=1), Reason.OTHER_CERTIFICATE),
        (thing(REPLACEMENT.entry), Reason.SECOND_IDENTITY),
        (thing(thing_type=None), Reason.THING_CONFLICT),
        (thing(thing_type="fl50"), Reason.THING_CONFLICT),
        (thing(of=replace(DEVICE1.entry, model="fl50")), Reason.THING_CONFLICT),
    ],
)
def test_a_thing_that_is_not_provably_the_devices_own_is_not_joined(place: Place, reason: Reason) -> None:
    assert reason_of(DEVICE1, DEVICE1.entry, place) is reason


@given(
    status=st.sampled_from(["PENDING_ACTIVATION", "INACTIVE", "REVOKED"]),
    entry=st.sampled_from([None, DEVICE1.entry, revoked(DEVICE1), REPLACEMENT.entry, DEVICE2.entry]),
    place=st.sampled_from(
        [EMPTY, thing(), thing(unlisted=1), thing(REPLACEMENT.entry), Place(model_known=False, thing=None)]
    ),
    now=st.datetimes(min_value=datetime(2000, 1, 1)),  # noqa: DTZ001  # hypothesis wants its bounds without a zone
)
def test_whatever_the_rest_only_a_pending_certificate_that_is_listed_as_good_gets_in(
    status: str, entry: ManifestEntry | None, place: Place, now: datetime
) -> None:
    moment = now.replace(tzinfo=NOW.tzinfo)
    outcome = decide(registered(DEVICE1, status), entry, place, now=moment)
    if isinstance(outcome, Admit):
        assert status == "PENDING_ACTIVATION"
        assert entry == DEVICE1.entry
        assert entry.standing is Standing.GOOD
        assert NOW - YEAR <= moment < NOW + YEAR
        assert place in (EMPTY, thing())


def test_every_reason_fits_a_metric_dimension() -> None:
    assert all(reason.value.replace("-", "").isalpha() for reason in Reason)
