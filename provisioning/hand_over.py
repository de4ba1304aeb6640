"""Write the connection bundle of an identity: what leaves the factory inside the device."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from protocol.batch_window import BatchWindow
from protocol.bundle import BUNDLE_FILE, CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE, Bundle, Topics, read_bundle
from protocol.device_id import DeviceId
from protocol.hostnames import device_hostname
from protocol.reconnect_place import reconnect_place
from protocol.topics import batch_topic, command_filter
from provisioning.algorithm import public_key_der
from provisioning.durable import make_folder, write_durably
from provisioning.errors import RefusedError, StationError
from provisioning.key_file import read_device_key
from provisioning.ledger.records import Identity
from stacks.environment import Environment


def check_folder(folder: Path, device: DeviceId) -> None:
    """Refuse a folder that holds another device's bundle, before anything is issued."""
    try:
        owner = read_bundle(folder).device
    except FileNotFoundError:
        return
    except (OSError, ValidationError) as error:
        raise RefusedError(
            f"{folder / BUNDLE_FILE}: is no bundle ({error}); move it away or give another --out"
        ) from error
    if owner != device:
        raise RefusedError(f"{folder}: holds the bundle of device {owner}; give device {device} a folder of its own")


def check_key(folder: Path, device: DeviceId, spki: bytes) -> None:
    """Refuse a folder whose key is another than the one to certify: it would only show on the first connect.

    `spki`: the public key in DER (SubjectPublicKeyInfo). To be asked before anything is issued, because what was
    signed for the wrong key stands until somebody revokes it.
    """
    path = folder / KEY_FILE
    if path.exists() and public_key_der(read_device_key(path).public_key()) != spki:
        raise RefusedError(
            f"{path}: is another key than the one to certify for device {device}; give the request that was made with "
            f"this key, or move it away"
        )


def bundle_files(
    identity: Identity,
    *,
    issuers: Sequence[x509.Certificate],
    environment: Environment,
    ledger: str,
    trust_anchors: bytes,
) -> dict[str, bytes]:
    """The bundle's files in the order they are written: `bundle.json` last, so where it stands, all stand.

    `issuers`: who signed the device, and who signed that one, up to the root, which is not among them. `ledger`: the
    name of the one that holds the identity.
    """
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in (identity.certificate, *issuers))
    document = _document(identity, environment, ledger)
    return {
        CHAIN_FILE: chain,
        TRUST_ANCHORS_FILE: trust_anchors,
        BUNDLE_FILE: document.model_dump_json(indent=2).encode() + b"\n",
    }


def hand_over(identity: Identity, files: Mapping[str, bytes], folder: Path) -> None:
    """Write the bundle into the device's folder. A rerun writes the same."""
    with writing(identity.device, folder):
        make_folder(folder)
        certified = identity.certificate.public_key()
        check_key(folder, identity.device, certified.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        for name, content in files.items():
            write_durably(folder / name, content)


@contextmanager
def writing(device: DeviceId, folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into `StationError` with whose folder it is."""
    try:
        yield
    except OSError as error:
        raise StationError(
            f"device {device}: {folder} cannot be written ({error.strerror}); nothing of this was handed out. "
            f"Check the disk, then run this again"
        ) from error


def _document(identity: Identity, environment: Environment, ledger: str) -> Bundle:
    device, fleet = identity.device, environment.fleet
    model = environment.models.get(identity.model)
    return Bundle(
        device=device,
        model=identity.model,
        domain=environment.domain,
        hostname=device_hostname(device, environment.domain),
        topics=Topics(batch=batch_topic(device), commands=command_filter(device)),
        reconnect_window_seconds=int(fleet.reconnect_window.total_seconds()),
        # A model that left the catalogue promises what those do that say nothing.
        batch_window=model.batch_window if model else BatchWindow(),
        reconnect_place=reconnect_place(identity.issuance, ledger),
        keep_alive_seconds_by_operator={name: int(each.total_seconds()) for name, each in fleet.keep_alives.items()},
    )
