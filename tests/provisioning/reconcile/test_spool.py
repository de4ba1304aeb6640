"""What a comparison keeps on the disk."""

from pathlib import Path

from provisioning.reconcile.finding import Finding, Kind
from provisioning.reconcile.spool import Spool


def test_findings_come_back_in_their_order_and_may_be_kept_while_others_are_still_looked_for(tmp_path: Path) -> None:
    kinds = (Kind.CERTIFICATE_STANDS, Kind.ROW_UNKNOWN, Kind.ROW_MISSING)
    found = [Finding(kind=kind, device=f"d{n}", fingerprint="ab" * 32, detail="x") for n, kind in enumerate(kinds)]
    with Spool.open(tmp_path) as spool:
        spool.put_certificates((f"{number:064x}", "ACTIVE") for number in range(3))
        for (fingerprint, _, there), finding in zip(spool.pairs(), found, strict=True):
            assert (int(fingerprint, 16) < 3, there.status) == (True, "ACTIVE")
            spool.put_finding(finding)
        assert list(spool.findings()) == found
