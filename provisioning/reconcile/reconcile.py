"""Compare one cluster, and mend what is ours: the plan is the list of findings, and nothing else is touched."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from provisioning.cloud import Cloud, asking
from provisioning.ledger.identities import all_identities, identity_with
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.uploads import remember
from provisioning.manifest import Manifest, Upload
from provisioning.reconcile.compare import Trust, differences, second_identities
from provisioning.reconcile.finding import Finding, Kind, Repair
from provisioning.reconcile.read_cloud import read_cloud
from provisioning.reconcile.spool import Spool
from provisioning.registration import withdraw
from provisioning.registry.calls import Calls
from provisioning.registry.eager import Registration
from provisioning.registry.enrol import Enrolment, enrol
from provisioning.second_identity import others_good
from provisioning.signed_entry import Voucher
from provisioning.sync import manifest_name
from stacks.outputs import Outputs


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How one cluster is compared."""

    cluster: str
    outputs: Outputs
    trust: Trust
    """Which stations' entries are believed."""
    is_deep: bool
    """Whether every registered certificate is asked for its thing, ten a second."""

    @property
    def region(self) -> str:
        """The cluster's."""
        return self.outputs.clusters[self.cluster].region

    def manifest(self, cloud: Cloud) -> Manifest:
        """The cluster's table."""
        return Manifest(cloud.dynamodb(self.region), self.outputs.clusters[self.cluster].manifest_table)


@contextmanager
def compared(comparison: Comparison, ledger: Ledger, cloud: Cloud, calls: Calls) -> Iterator[Spool]:
    """Both sides, read."""
    with TemporaryDirectory(prefix="flotilla-reconcile-") as folder, Spool.open(Path(folder)) as spool:
        spool.put_here(all_identities(ledger, comparison.cluster))
        with asking(f"cluster {comparison.cluster}"):
            read_cloud(
                spool,
                comparison.manifest(cloud),
                calls,
                policy=comparison.outputs.device_policy_name,
                group=comparison.outputs.device_group_name,
                is_deep=comparison.is_deep,
            )
        yield spool


def findings(
    comparison: Comparison, spool: Spool, now: datetime, advance: Callable[[int], None] = lambda _more: None
) -> Iterator[Finding]:
    """Every difference, in the ledger's order; `advance` is told of each certificate that was compared."""
    for fingerprint, here, there in spool.pairs():
        yield from differences(fingerprint, here, there, comparison.trust)
        advance(1)
    for device, items in spool.several():
        yield from second_identities(device, items, now)
    for device in spool.lonely_things():
        yield Finding(kind=Kind.THING_UNKNOWN, device=device, fingerprint="")


@dataclass(frozen=True, kw_only=True)
class Mender:
    """Carries out repairs in one cluster. Each is one that a rerun may do again."""

    comparison: Comparison
    ledger: Ledger
    cloud: Cloud
    calls: Calls
    voucher: Voucher
    registration: Registration
    clock: Callable[[], datetime]

    def mend(self, finding: Finding) -> bool:
        """Mend one difference; False where it turned out not to be ours after all.

        Raises what the library of the cloud raises, and `CloudError` for an answer that is none.
        """
        repair = finding.meaning.repair
        if repair is None:
            return False
        identity = identity_with(self.ledger, finding.fingerprint)
        return self._mend(repair, identity)

    def _mend(self, repair: Repair, identity: Identity) -> bool:
        row = self.voucher.vouch(identity.entry)
        match repair:
            case Repair.TELL:
                manifest = self.comparison.manifest(self.cloud)
                if others_good([identity], manifest, self.ledger, now=self.clock()):
                    return False
                (upload,) = manifest.tell([row])
                if upload is not Upload.DIFFERS and not identity.is_revoked:
                    self._remember(identity)
                return upload is not Upload.DIFFERS
            case Repair.SIGN:
                return self.comparison.manifest(self.cloud).replace_signature(row)
            case Repair.WITHDRAW:
                withdraw(self.cloud.iot(self.comparison.region), identity.fingerprint)
                self._remember(identity)
                return True
            case Repair.ENROL:
                place = self.registration.place_of(identity.authority)
                enrolled = enrol(self.calls, identity, place)
                return enrolled.outcome is not Enrolment.DIFFERS

    def _remember(self, identity: Identity) -> None:
        name = manifest_name(self.comparison.outputs.clusters[self.comparison.cluster])
        remember(self.ledger, [identity], name, at=self.clock())
