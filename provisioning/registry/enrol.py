"""Register one identity in one region, as the registrar would at its first connect.

Thing, certificate, policy, and the two joined last: only then the certificate may do anything.
"""

from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.errors import CloudError
from provisioning.ledger.records import Identity
from provisioning.registry.calls import BrokenAnswerError, Calls, error_code

ACTIVE = "ACTIVE"
_EXISTS = "ResourceAlreadyExistsException"


class PolicyBy(StrEnum):
    """How a device gets its policy."""

    GROUP = "group"
    """Its thing joins the group that carries the policy: 100 a second, and one place to change it."""
    CERTIFICATE = "certificate"
    """AttachPolicy for each certificate, 15 a second: where the group's policy does not count, as at the desk."""


class Enrolment(StrEnum):
    """What registering an identity came to."""

    REGISTERED = "registered"
    ALREADY_REGISTERED = "already registered"
    """All of it was there: an earlier run, or the device itself, was first."""
    DIFFERS = "differs"
    """A thing or certificate stands there that is not what the ledger says; it is left alone."""
    FAILED = "failed"
    """The cloud refused it, or could not be asked; the ledger notes nothing, so the next run tries it again."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a region's devices go."""

    policy: str
    group: str
    by: PolicyBy
    ca_pem: str | None = None
    """Of the authority, where it is registered in the region; None registers without one."""


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """The outcome, with what differs in words."""

    outcome: Enrolment
    detail: str = ""


@dataclass
class _Work:
    """One identity on its way."""

    calls: Calls
    identity: Identity
    place: Place


def calls_needed(place: Place) -> tuple[str, ...]:
    """What one new device costs."""
    register = "RegisterCertificateWithoutCA" if place.ca_pem is None else "RegisterCertificate"
    grant = "AddThingToThingGroup" if place.by is PolicyBy.GROUP else "AttachPolicy"
    return "CreateThing", register, grant, "AttachThingPrincipal"


def enrol(calls: Calls, identity: Identity, place: Place) -> Enrolled:
    """Register the identity; done twice it changes nothing. `CloudError` when the cloud cannot be asked."""
    work = _Work(calls, identity, place)
    try:
        _make_thing(work)
        arn, status, is_new = _register(work)
        if status not in (ACTIVE, "PENDING_ACTIVATION"):
            return Enrolled(
                outcome=Enrolment.DIFFERS,
                detail=f"its certificate is {status} there: somebody took it out, and only they may bring it back",
            )
        _grant(work, arn)
        calls.call("AttachThingPrincipal", thingName=identity.device, principal=arn)
        if status != ACTIVE:
            calls.call("UpdateCertificate", certificateId=identity.fingerprint, newStatus=ACTIVE)
    except _DiffersError as error:
        return Enrolled(outcome=Enrolment.DIFFERS, detail=str(error))
    return Enrolled(outcome=Enrolment.REGISTERED if is_new else Enrolment.ALREADY_REGISTERED)


class _DiffersError(Exception):
    """What stands there is not ours to change."""


def _make_thing(work: _Work) -> None:
    """The thing of the device, made if there is none. AWS answers the same for a thing that is just so already."""
    entry = work.identity.entry
    try:
        answer = work.calls.call(
            "CreateThing",
            "thingName",
            "thingArn",
            thingName=entry.device,
            thingTypeName=entry.model,
            attributePayload={
                "attributes": {"model": entry.model, "authority": entry.authority, "serial": entry.serial}
            },
        )
    except ClientError as error:
        if error_code(error) != _EXISTS:
            raise
    else:
        _equal("CreateThing", answer["thingName"], entry.device)
        return
    # A thing keeps the attributes of its first identity; after a rotation authority and serial are another's.
    thing = work.calls.call("DescribeThing", "thingName", thingName=entry.device)
    model = thing.get("attributes", {}).get("model")
    if {thing.get("thingTypeName"), model} != {entry.model}:
        raise _DiffersError(f"a thing of that name is of type {thing.get('thingTypeName')} there, not {entry.model}")
    _refuse_second(work)


def _refuse_second(work: _Work) -> None:
    """One device has one identity: a thing that holds another active certificate is not joined, as at the registrar."""
    device = work.identity.device
    answer = work.calls.call("ListThingPrincipals", may_be_empty=("principals",), thingName=device)
    held = {principal.rpartition("/")[2] for principal in answer["principals"] if ":cert/" in principal}
    for other in sorted(held - {work.identity.fingerprint}):
        found = work.calls.call("DescribeCertificate", "certificateDescription", certificateId=other)
        if found["certificateDescription"].get("status") == ACTIVE:
            raise _DiffersError(
                f"its thing holds certificate {other} there, which is active, and a device has one identity; end the "
                "one that is wrong in its ledger (python -m provisioning retire), then sync from there"
            )


def _register(work: _Work) -> tuple[str, str, bool]:
    """The certificate's ARN, its status, and whether it was registered now. Being refused as known is no error."""
    identity, place = work.identity, work.place
    pem = identity.certificate.public_bytes(Encoding.PEM).decode("ascii")
    try:
        if place.ca_pem is None:
            answer = work.calls.call(
                "RegisterCertificateWithoutCA", "certificateId", "certificateArn", certificatePem=pem, status=ACTIVE
            )
        else:
            answer = work.calls.call(
                "RegisterCertificate",
                "certificateId",
                "certificateArn",
                certificatePem=pem,
                caCertificatePem=place.ca_pem,
                status=ACTIVE,
            )
    except ClientError as error:
        if error_code(error) != _EXISTS:
            raise
    else:
        _equal("RegisterCertificate", answer["certificateId"], identity.fingerprint)
        return str(answer["certificateArn"]), ACTIVE, True
    found = work.calls.call("DescribeCertificate", "certificateDescription", certificateId=identity.fingerprint)
    description = found["certificateDescription"]
    if not description.get("certificateArn") or not description.get("status"):
        raise BrokenAnswerError("DescribeCertificate: the answer lacks certificateArn or status")
    return str(description["certificateArn"]), str(description["status"]), False


def _grant(work: _Work, arn: str) -> None:
    if work.place.by is PolicyBy.GROUP:
        work.calls.call("AddThingToThingGroup", thingGroupName=work.place.group, thingName=work.identity.device)
    else:
        work.calls.call("AttachPolicy", policyName=work.place.policy, target=arn)


def _equal(call: str, found: object, wanted: str) -> None:
    if found != wanted:
        raise CloudError(f"{call}: the answer is about {found!r}, not {wanted!r}; look at what is between us and AWS")
