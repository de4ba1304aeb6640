"""Register what the ledger holds ahead of the devices' first connect, for a batch whose first day must not be slow.

The ledger notes each registration, so a run that was killed goes on, and a second one calls nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError

from protocol.device_id import DeviceId
from provisioning.cloud import Cloud, asking
from provisioning.errors import CloudError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.registrations import count_unregistered, is_ended, unregistered
from provisioning.registration import withdraw
from provisioning.registry.calls import Calls
from provisioning.registry.enrol import Enrolled, Enrolment, Place, PolicyBy, calls_needed, enrol
from provisioning.registry.pace import seconds_needed
from provisioning.registry.quotas import OTHER_PER_SECOND
from provisioning.registry.setbacks import Setbacks
from provisioning.sync import manifest_name
from stacks.outputs import ClusterOutputs, Outputs

WORKERS = 16
"""Calls under way at a time: at 10 devices a second and four calls of about 100 ms each, four would do; slow answers
need more. The pace, not this, is the limit."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What is to be registered in one cluster."""

    cluster: str
    outputs: ClusterOutputs
    count: int
    place: Place
    """Of an authority that the cluster does not know, or whose certificate is not at hand."""
    ca_pems: Mapping[str, str]
    """Authority to certificate, of those that are registered in the cluster."""

    def place_of(self, authority: str) -> Place:
        """Where that authority's devices go."""
        return replace(self.place, ca_pem=self.ca_pems.get(authority))

    def seconds_at_least(self, quotas: Mapping[str, float]) -> float:
        """How long it takes at these quotas."""
        return seconds_needed(
            self.count, {name: quotas.get(name, OTHER_PER_SECOND) for name in calls_needed(self.place)}
        )


@dataclass(frozen=True, kw_only=True)
class Registered:
    """One identity in one cluster."""

    cluster: str
    device: DeviceId
    fingerprint: str
    enrolled: Enrolled


def plan_registration(
    ledger: Ledger, outputs: Outputs, ca_pems: Mapping[str, str], *, by: PolicyBy
) -> tuple[Registration, ...]:
    """What the ledger has not noted as registered, cluster by cluster. `ca_pems`: authority to its certificate."""
    return tuple(
        Registration(
            cluster=name,
            outputs=cluster,
            count=count_unregistered(ledger, name),
            place=Place(policy=outputs.device_policy_name, group=outputs.device_group_name, by=by),
            ca_pems={authority: pem for authority, pem in ca_pems.items() if _is_registered(outputs, authority, name)},
        )
        for name, cluster in sorted(outputs.clusters.items())
    )


def register(
    planned: tuple[Registration, ...],
    ledger: Ledger,
    cloud: Cloud,
    *,
    quotas: Mapping[str, float],
    clock: Callable[[], datetime],
) -> Iterator[Registered | CloudError]:
    """Register cluster by cluster what its manifest was told; an error ends its cluster alone, and is yielded.

    A device that fails is yielded like any other, and those behind it go on.
    """
    for each in planned:
        if not each.count:
            continue
        calls = Calls(cloud.iot_once(each.outputs.region), quotas)
        try:
            yield from _register(each, ledger, cloud, calls, clock)
        except CloudError as error:
            yield error


def _register(
    planned: Registration, ledger: Ledger, cloud: Cloud, calls: Calls, clock: Callable[[], datetime]
) -> Iterator[Registered]:
    """A bounded number at a time; the ledger is written by this thread alone."""
    setbacks = Setbacks()
    with ThreadPoolExecutor(WORKERS) as threads:
        running: dict[Future[Enrolled], Identity] = {}
        try:
            for page in unregistered(ledger, planned.cluster, manifest_name(planned.outputs)):
                for identity in page:
                    place = planned.place_of(identity.authority)
                    running[threads.submit(enrol, calls, identity, place)] = identity
                    if len(running) >= 2 * WORKERS:
                        yield from _finished(running, planned, ledger, cloud, clock, setbacks=setbacks)
            while running:
                yield from _finished(running, planned, ledger, cloud, clock, setbacks=setbacks)
        except BaseException:
            for future in running:
                future.cancel()
            raise


def _finished(
    running: dict[Future[Enrolled], Identity],
    planned: Registration,
    ledger: Ledger,
    cloud: Cloud,
    clock: Callable[[], datetime],
    *,
    setbacks: Setbacks,
) -> Iterator[Registered]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        identity = running.pop(future)
        try:
            enrolled = future.result()
        except (ClientError, BotoCoreError, CloudError) as error:
            enrolled = Enrolled(outcome=Enrolment.FAILED, detail=setbacks.note(error))
        else:
            setbacks.went_well()
        if enrolled.outcome in (Enrolment.REGISTERED, Enrolment.ALREADY_REGISTERED):
            _note(identity, planned, ledger, cloud, clock)
        yield Registered(
            cluster=planned.cluster, device=identity.device, fingerprint=identity.fingerprint, enrolled=enrolled
        )
    setbacks.stop_if_all_fail(f"cluster {planned.cluster}")


def _note(
    identity: Identity, planned: Registration, ledger: Ledger, cloud: Cloud, clock: Callable[[], datetime]
) -> None:
    """In the ledger, unless the identity was taken back meanwhile: then the registration is, too."""
    ledger.register(identity, planned.cluster, at=clock())
    if is_ended(ledger, identity):
        with asking(f"cluster {planned.cluster}, device {identity.device}"):
            withdraw(cloud.iot(planned.outputs.region), identity.fingerprint)


def _is_registered(outputs: Outputs, authority: str, cluster: str) -> bool:
    known = outputs.authorities.get(authority)
    return known is not None and bool(known.ca_certificate_ids.get(cluster))
