"""Close an authority or a station in the clusters: they register nobody by it, and drop what no ledger knows of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from provisioning.cloud import Cloud, asking
from provisioning.ending.unreported import Unreported, take_back
from provisioning.errors import CloudError, RefusedError
from provisioning.registration import Deactivation, deactivate
from provisioning.signed_entry import Voucher
from provisioning.sync import Told
from stacks.outputs import Outputs


@dataclass(frozen=True, kw_only=True)
class Closed:
    """What became of the authority's registration in one cluster."""

    cluster: str
    certificate_id: str
    """Of the CA certificate, as that region's AWS IoT has it."""
    outcome: Deactivation


def registrations(signer: str, outputs: Outputs) -> dict[str, str]:
    """Cluster to the id of the signer's CA certificate there; empty where it has none."""
    known = outputs.authorities[signer].ca_certificate_ids if signer in outputs.authorities else {}
    return {cluster: known.get(cluster, "") for cluster in sorted(outputs.clusters)}


def check_same_clusters(planned: Mapping[str, str], outputs: Outputs) -> None:
    """Refuse outputs that do not have a cluster of the plan."""
    if missing := [name for name in planned if name not in outputs.clusters]:
        raise RefusedError(
            f"--outputs: the plan names cluster {', '.join(missing)}, and these outputs do not; give those it was "
            f"made with, or make the plan anew"
        )


def close(
    planned: Mapping[str, str], unreported: Sequence[Unreported], outputs: Outputs, cloud: Cloud, voucher: Voucher
) -> Iterator[Closed | Told | CloudError]:
    """In every cluster; one that cannot be asked does not keep the others waiting. A rerun is harmless."""
    for name, certificate_id in planned.items():
        cluster = outputs.clusters[name]
        try:
            if certificate_id:
                with asking(f"cluster {name}, CA certificate {certificate_id}"):
                    outcome = deactivate(cloud.iot(cluster.region), certificate_id)
                yield Closed(cluster=name, certificate_id=certificate_id, outcome=outcome)
            yield from take_back(unreported, name, cluster, cloud, voucher)
        except CloudError as error:
            yield error
