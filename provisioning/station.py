"""A station: everything an identity is issued with, read and checked once.

The command `issue` and the station's API are both thin over it, so both say the same and refuse the same.

    station = Station.open(stack="dev", factory=Path("factory"))
    order = station.order(device="device1", model="fl100", authority="line-a")
    issued = station.issue(order, station.request(order, csr))
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from getpass import getpass
from pathlib import Path
from typing import Self

from cryptography import x509

from protocol.device_id import DeviceId
from provisioning.authority import IssuingAuthority
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile
from provisioning.hand_over import bundle_files
from provisioning.issue import check_standing, issue
from provisioning.issue_many import Given, Wanted, issue_many
from provisioning.lease import used_up
from provisioning.ledger.kept import KeptLedger
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Reason
from provisioning.ledger.rows import identity_of, latest_of
from provisioning.order import Order
from provisioning.read_factory import factory_of
from provisioning.refused_keys import RefusedKeys, read_refused_keys
from provisioning.request import Request
from provisioning.serials import serials_of
from provisioning.signers import Signers
from provisioning.stations.right import leased, signing
from provisioning.trust_anchors import amazon_trust_anchors, read_trust_anchors
from stacks.environment import GATEWAY_AUTHORITY, Environment
from stacks.load import AUTHORITIES, find_ca_certificates
from stacks.outputs import Outputs


def utc_now() -> datetime:
    """The station's clock, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """An identity on record and in the ledger as delivered: whoever asked may have it, as often as they ask."""

    identity: Identity
    files: Mapping[str, bytes]
    """The connection bundle (`protocol.bundle`): file name to content, without a private key."""
    is_new: bool
    """False where the same request was answered before."""


@dataclass(frozen=True, kw_only=True)
class Station:
    """One place at a line, with its factory folder. Several may share a folder; threads may share a station."""

    plan: FactoryFile
    environment: Environment
    factory: Path
    """The folder of the ledger, the root's certificate, and keys in files."""
    signers: Signers
    trust_anchors: bytes
    refused_keys: RefusedKeys
    """Keys that are never certified, of the lists that the factory file names."""
    clock: Callable[[], datetime]
    _kept: KeptLedger = field(default_factory=KeptLedger)

    @classmethod
    def open(
        cls,
        *,
        stack: str,
        factory: Path,
        authorities: Path | None = None,
        trust_anchors: Path | None = None,
        profiles: Path | None = None,
        outputs: Outputs | None = None,
        outputs_path: Path | None = None,
        clock: Callable[[], datetime] = utc_now,
        ask: Callable[[str], str] = getpass,
    ) -> Self:
        """The station of a stack; `RefusedError`, `StackError` or `StationError` name the file that is wrong.

        `authorities`: the folder of their certificates, else the stack's. `trust_anchors`: the roots a device accepts
        for servers, else Amazon's. `profiles`: the factory file, else the stack's.
        """
        plan, environment = factory_of(stack, profiles)
        anchors = amazon_trust_anchors() if trust_anchors is None else read_trust_anchors(trust_anchors)
        certificates = find_ca_certificates(environment, authorities or AUTHORITIES / stack, today=clock().date())
        if (gateway := certificates.get(GATEWAY_AUTHORITY)) is not None:
            anchors += gateway.pem.encode("ascii")
        signers = Signers(
            plan=plan,
            environment=environment,
            factory=factory,
            certificates=certificates,
            outputs=outputs,
            outputs_path=outputs_path,
            clock=clock,
            ask=ask,
        )
        return cls(
            plan=plan,
            environment=environment,
            factory=factory,
            signers=signers,
            trust_anchors=anchors,
            refused_keys=read_refused_keys(plan, profiles),
            clock=clock,
        )

    def order(self, *, device: str, model: str, authority: str, is_key_generated: bool = False) -> Order:
        """What somebody wants, checked against the factory file."""
        return Order.checked(
            self.plan,
            domain=self.environment.domain,
            device=device,
            model=model,
            authority=authority,
            is_key_generated=is_key_generated,
        )

    def check_form(self, order: Order, csr: bytes) -> bytes:
        """Everything about a device's CSR (PEM) but the proof of possession; `RefusedError` says why not.

        Returns the key in DER.
        """
        spki = Request.check_form(csr, device=order.device, key_type=order.profile.key_type)
        self.refused_keys.check(spki)
        return spki

    def request(self, order: Order, csr: bytes) -> Request:
        """The request in a device's CSR (PEM), checked."""
        return Request.from_csr(
            csr, device=order.device, model=order.model, authority=order.authority, key_type=order.profile.key_type
        )

    def authority(self, name: str) -> IssuingAuthority:
        """The authority or station, ready to sign now. Its signer is made once; dates are checked each time."""
        return self.signers.ready(name)

    def left(self, name: str) -> int | None:
        """How many more the authority or station may sign; None for an authority, which has no lease.

        `LeaseError` when it may sign nothing now.
        """
        with self._ledger() as ledger:
            return self.signers.left(name, ledger)

    def issue(
        self,
        order: Order,
        request: Request,
        *,
        hand_over: Callable[[Identity, Mapping[str, bytes]], None] | None = None,
    ) -> Issued:
        """The device's identity, the same however often it is asked for, and durable before it is returned.

        `hand_over` puts the bundle where it belongs; only then the ledger says that it was delivered. Without it,
        the answer is the delivery: whoever did not get it asks again.
        """
        self.refused_keys.check(request.spki)
        authority = self.authority(order.authority)
        with self._ledger() as ledger:
            known = ledger.find(request.device, request.key_hash, model=request.model, authority=request.authority)
            with self._right(order.authority, ledger, is_known=known is not None):
                identity = issue(
                    request,
                    authority,
                    ledger,
                    profile=order.profile,
                    clock=self.clock,
                    new_serial=serials_of(self.plan.signer(order.authority).serials),
                    is_delivered=hand_over is None,
                )
            files = self.bundle(identity, authority.certificate, ledger.name)
            if hand_over is not None:
                hand_over(identity, files)
                ledger.deliver(identity, at=self.clock())
            ledger.rest()
        return Issued(identity=identity, files=files, is_new=not isinstance(known, Identity))

    def issue_many(self, signer: str, wanted: Sequence[Wanted], ledger: Ledger) -> list[Given]:
        """The identities of many, each as `issue` would give it and durable, or why there is none.

        Handing them over and `deliver_all` are the caller's.
        """
        authority = self.authority(signer)
        with leased(self.plan, signer, ledger, self.factory, now=self.clock()) as left:
            refused = self._refused(signer, wanted, ledger, left)
            given = iter(
                issue_many(
                    [each for each, why in zip(wanted, refused, strict=True) if why is None],
                    authority,
                    ledger,
                    clock=self.clock,
                    new_serial=serials_of(self.plan.signer(signer).serials),
                )
            )
            return [next(given) if why is None else why for why in refused]

    def _refused(
        self, signer: str, wanted: Sequence[Wanted], ledger: Ledger, left: int | None
    ) -> list[RefusedError | None]:
        """Why each is refused before it is drafted: its key stands in a list, or the lease has no more to give."""
        refused: list[RefusedError | None] = []
        for each in wanted:
            found = self.refused_keys.refusal(each.request.spki)
            why = None if found is None else RefusedError(found)
            if why is None and left is not None and _is_new(each.request, ledger):
                if left == 0:
                    why = used_up(signer, self.plan.stations[signer].lease)
                else:
                    left -= 1
            refused.append(why)
        return refused

    def find(self, device: DeviceId) -> Identity | None:
        """The identity the device was given last; None if it has none that is signed."""
        with self._ledger() as ledger:
            latest = latest_of(ledger.connection, device)
            return None if latest is None else identity_of(ledger.connection, latest.number)

    def retire(self, device: DeviceId, reason: Reason, note: str) -> bool:
        """End the device's identity, signed or only prepared; False when it had ended. The next `sync` tells it.

        `UnknownError` for a device of which this ledger holds nothing.
        """
        with self._ledger() as ledger:
            return ledger.retire(device, reason, note, at=self.clock())

    def bundle_of(self, identity: Identity) -> Mapping[str, bytes] | None:
        """The bundle of an identity on record; None where its issuer's certificate is not here, or it has ended.

        To hand it out is to deliver it, and the ledger says so: whoever has it may put it into the device.
        """
        if identity.authority not in self.signers.certificates or identity.is_revoked:
            return None
        check_standing(identity, now=(now := self.clock()))
        with self._ledger() as ledger:
            files = self.bundle(identity, self.signers.certificate(identity.authority), ledger.name)
            ledger.deliver(identity, at=now)
        return files

    def _ledger(self) -> AbstractContextManager[Ledger]:
        return self._kept.use(self.factory, self.environment.name)

    def bundle(self, identity: Identity, issuer: x509.Certificate, ledger: str) -> Mapping[str, bytes]:
        """The connection bundle of an identity: file name to content. `ledger`: the name of the one that holds it."""
        return bundle_files(
            identity,
            issuers=(issuer, *self.signers.above(identity.authority)),
            environment=self.environment,
            ledger=ledger,
            trust_anchors=self.trust_anchors,
        )

    def _right(self, signer: str, ledger: Ledger, *, is_known: bool) -> AbstractContextManager[None]:
        """What a station's lease gives; whoever asks again for what stands needs none."""
        if is_known:
            return nullcontext()
        return signing(self.plan, signer, ledger, self.factory, wanted=1, now=self.clock())


def _is_new(request: Request, ledger: Ledger) -> bool:
    """Whether the ledger would reserve something for it."""
    try:
        return ledger.find(request.device, request.key_hash, model=request.model, authority=request.authority) is None
    except RefusedError:
        return False
