"""Open a gateway: fill its folder, and let it into the device's cluster. Harmless when repeated with the same end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from fleet.errors import RefusedError
from fleet.gateway.broker import Broker
from fleet.gateway.certificates import (
    GatewayAuthority,
    admitted_clients,
    bridge_certificate,
    redirect_validity,
    server_certificate,
)
from fleet.gateway.folder import Papers, make_or_read_keys, write_folder
from fleet.gateway.identity import IdentityPlace, register_identity
from protocol.device_id import DeviceId
from provisioning.ceremony import authority_key_path
from provisioning.cloud import Cloud, asking
from provisioning.file_signer import FileSigner
from provisioning.key_file import read_authority_key
from provisioning.kms_keys import kms_signer
from provisioning.passphrase import read_kept_passphrase
from provisioning.signer import Signer
from stacks.environment import GATEWAY_AUTHORITY, AuthorityKey, CaCertificate, Environment
from stacks.outputs import ClusterOutputs, Outputs


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a gateway is opened with."""

    broker: Broker
    domain: str
    address: str
    authority: GatewayAuthority
    issuing: Sequence[x509.Certificate]
    """The authorities whose devices may come: the one device, whichever of them signed it."""
    cluster_anchors: bytes
    place: IdentityPlace
    end: str
    """The command that ends the redirect early."""


def open_gateway(opening: Opening, folder: Path, *, now: datetime, new_serial: Callable[[], int]) -> None:
    """Write the folder, then register its identity: a key is on the disk before the cloud hears of it."""
    broker = opening.broker
    keys, validity = make_or_read_keys(folder), redirect_validity(now, broker.expires)
    server = server_certificate(
        broker.device,
        opening.domain,
        keys.server.public_key(),
        opening.authority,
        validity=validity,
        new_serial=new_serial,
    )
    bridge = bridge_certificate(broker.device, keys.bridge, validity=validity, new_serial=new_serial)
    admitted = admitted_clients(broker.device, opening.issuing, validity=validity, new_serial=new_serial)
    papers = Papers(server=server, admitted=admitted, bridge=bridge, cluster_anchors=opening.cluster_anchors)
    register_identity(
        opening.place,
        broker.device,
        certificate_pem=bridge.public_bytes(Encoding.PEM).decode("ascii"),
        certificate_id=bridge.fingerprint(hashes.SHA256()).hex(),
        expires=broker.expires,
    )
    write_folder(folder, broker, papers, domain=opening.domain, address=opening.address, end=opening.end)


def gateway_certificate(
    environment: Environment, certificates: Mapping[str, CaCertificate], folder: Path
) -> x509.Certificate:
    """The certificate of the environment's authority of gateways; `RefusedError` where there is none.

    `folder`: where `certificates` were read from.
    """
    if GATEWAY_AUTHORITY not in environment.authorities:
        raise RefusedError(
            f"stack {environment.name} has no authority {GATEWAY_AUTHORITY}; add it to stack and factory file, hold "
            f"the ceremony, and issue devices anew: those without it cannot trust a gateway"
        )
    found = certificates.get(GATEWAY_AUTHORITY)
    if found is None:
        raise RefusedError(
            f"{folder / GATEWAY_AUTHORITY}.pem: authority {GATEWAY_AUTHORITY} has no certificate there; give the "
            f"folder of certificates as --authorities, on a desk .flotilla/{environment.name}/authorities. Where no "
            f"ceremony has made it yet, hold one, and issue devices anew: those without it cannot trust a gateway"
        )
    return x509.load_pem_x509_certificate(found.pem.encode("ascii"))


def gateway_authority(
    environment: Environment,
    certificate: x509.Certificate,
    *,
    factory: Path | None,
    outputs: Outputs,
    outputs_path: Path,
    cloud: Cloud,
) -> GatewayAuthority:
    """The environment's authority of gateways with its signer."""
    signer: Signer
    if environment.authorities[GATEWAY_AUTHORITY].key is AuthorityKey.KMS:
        signer = kms_signer(GATEWAY_AUTHORITY, outputs, outputs_path, cloud)
    elif factory is None:
        raise RefusedError(f"--factory: the key of authority {GATEWAY_AUTHORITY} is a file; give the folder it is in")
    else:
        path = authority_key_path(factory, GATEWAY_AUTHORITY)
        signer = FileSigner(read_authority_key(path, read_kept_passphrase(factory)))
    return GatewayAuthority.ready(certificate, signer, environment.domain)


def identity_place(outputs: Outputs, cluster: str, cloud: Cloud) -> IdentityPlace:
    """Where the gateway's identity is made."""
    found = outputs.clusters[cluster]
    return IdentityPlace(cloud.iot(found.region), outputs.environment, found.region, _account_of(found))


def check_known(place: IdentityPlace, device: DeviceId, cluster: str) -> None:
    """Refuse a device the cluster has never seen: a slip in its name would redirect nobody, for hours."""
    client = place.client
    with asking(f"look for {device} in {cluster}"):
        try:
            client.describe_thing(thingName=device)
        except client.exceptions.ResourceNotFoundException:
            raise RefusedError(f"device {device}: has never been in {cluster}; check its id and its cluster") from None


def _account_of(cluster: ClusterOutputs) -> str:
    """The account a cluster is in, from one of its ARNs."""
    return cluster.alarm_topic_arn.split(":")[4]
