"""Who signs at a factory, as far as they are here: the certificates, keys and leases of authorities and stations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock

from cryptography import x509

from provisioning.authority import IssuingAuthority, read_certificate
from provisioning.ceremony import ROOT_CERTIFICATE_FILE
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile
from provisioning.lease import used_up
from provisioning.ledger.ledger import Ledger
from provisioning.open_signer import open_signer
from provisioning.signer import Signer
from provisioning.stations.right import check_leased, check_not_withdrawn, left_now
from stacks.environment import CaCertificate, Environment
from stacks.outputs import Outputs


@dataclass(frozen=True, kw_only=True)
class Signers:
    """The authorities and stations of a factory. Threads may share them."""

    plan: FactoryFile
    environment: Environment
    factory: Path
    """The folder of the root's certificate, and keys in files."""
    certificates: Mapping[str, CaCertificate]
    """Of those that have one, by name; of others than the factory's too."""
    outputs: Outputs | None
    """What the deployment gave, from `outputs_path`: where keys in KMS are found."""
    outputs_path: Path | None
    clock: Callable[[], datetime]
    ask: Callable[[str], str]
    """Gives the HSM's PIN, once, where no file has it."""
    _opened: dict[str, Signer] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def ready(self, name: str) -> IssuingAuthority:
        """The authority or station, ready to sign now. Its signer is made once; dates are checked each time."""
        certificate = self.certificate(name)
        check_not_withdrawn(name, certificate, self.factory)
        station = self.plan.stations.get(name)
        if station is not None:
            check_leased(name, station, certificate)
        above = self.above(name)
        return IssuingAuthority.ready(
            name=name,
            certificate=certificate,
            signer=self._signer(name),
            root=above[0] if above else read_certificate(self.factory / ROOT_CERTIFICATE_FILE),
            now=self.clock(),
        )

    def left(self, name: str, ledger: Ledger) -> int | None:
        """How many more the authority or station may sign; None for an authority, which has no lease.

        `LeaseError` when it may sign nothing now.
        """
        left = left_now(self.plan, name, ledger, now=self.clock())
        if left == 0:
            raise used_up(name, self.plan.stations[name].lease)
        return left

    def certificate(self, name: str) -> x509.Certificate:
        """Its own; `RefusedError` when there is none here."""
        found = self.certificates.get(name)
        if found is None:
            kind, way_out = (
                ("station", "have it certified (`station certify`)")
                if name in self.plan.stations
                else ("authority", "hold the ceremony")
            )
            raise RefusedError(
                f"{name}.pem: {kind} {name} has no certificate yet; {way_out}, or give the folder of certificates as "
                f"--authorities"
            )
        return x509.load_pem_x509_certificate(found.pem.encode("ascii"))

    def issuers(self, name: str) -> tuple[x509.Certificate, ...]:
        """What a device shows after its own certificate: its signer's, and what stands above that below the root."""
        return (self.certificate(name), *self.above(name))

    def above(self, name: str) -> tuple[x509.Certificate, ...]:
        """The authority that certified a station; what stands above an authority is the root, which no device shows."""
        return (self.certificate(self.plan.issuer_of(name)),) if name in self.plan.stations else ()

    def _signer(self, name: str) -> Signer:
        """Made once: opening a key file is slow on purpose, and a key in KMS is asked for over the network."""
        with self._lock:
            if name not in self._opened:
                self._opened[name] = open_signer(
                    self.environment,
                    name,
                    self.factory,
                    outputs=self.outputs,
                    outputs_path=self.outputs_path,
                    ask=self.ask,
                )
            return self._opened[name]
