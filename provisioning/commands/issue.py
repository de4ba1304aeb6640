"""`python -m provisioning issue`: one identity for one device."""

from pathlib import Path
from typing import Annotated

import typer

from protocol.bundle import KEY_FILE
from provisioning.commands.asking import typed
from provisioning.commands.options import (
    AsJson,
    Authorities,
    Device,
    Factory,
    OutputsFile,
    Profiles,
    Stack,
    TrustAnchors,
    now,
    outputs_of,
)
from provisioning.commands.telling import errors_told, tell
from provisioning.durable import make_folder
from provisioning.errors import RefusedError, about
from provisioning.hand_over import check_folder, check_key, hand_over, writing
from provisioning.key_file import make_or_read_device_key
from provisioning.order import Order
from provisioning.request import MAX_CSR_BYTES, Request
from provisioning.station import Station


def issue(
    *,
    stack: Stack,
    device: Device,
    model: Annotated[str, typer.Option(help="The hardware model, as the stack names it.")],
    authority: Annotated[str, typer.Option(help="The issuing authority, as the stack names it.")],
    factory: Factory,
    out: Annotated[Path, typer.Option(help="The device's own folder: the bundle is written into it.")],
    csr: Annotated[Path | None, typer.Option(help="The device's certificate request in PEM.")] = None,
    generate_key: Annotated[
        bool, typer.Option("--generate-key", help="Make the device's key here; only where its model says so.")
    ] = False,
    authorities: Authorities = None,
    trust_anchors: TrustAnchors = None,
    profiles: Profiles = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> None:
    """Record, sign and hand over one identity. The same request again gives the same certificate."""
    with errors_told(), about(device):
        if (csr is None) != generate_key:
            raise RefusedError("give either --csr FILE or --generate-key")
        station = Station.open(
            stack=stack,
            factory=factory,
            authorities=authorities,
            trust_anchors=trust_anchors,
            profiles=profiles,
            outputs=None if outputs is None else outputs_of(stack, outputs),
            outputs_path=outputs,
            clock=now,
            ask=typed,
        )
        order = station.order(device=device, model=model, authority=authority, is_key_generated=generate_key)
        check_folder(out, order.device)
        # An authority that cannot sign is told before a key is made.
        station.authority(order.authority)
        request = _request(station, order, csr, out)
        check_key(out, order.device, request.spki)
        issued = station.issue(order, request, hand_over=lambda identity, files: hand_over(identity, files, out))
    entry = issued.identity.entry.to_item()
    tell({**{name: entry[name] for name in entry if name != "standing"}, "bundle": str(out)}, as_json=as_json)


def _request(station: Station, order: Order, csr: Path | None, out: Path) -> Request:
    """The key comes first: on the disk, before the ledger hears of it."""
    if csr is None:
        with writing(order.device, out):
            make_folder(out)
            key = make_or_read_device_key(out / KEY_FILE, order.profile.key_type)
        return Request.of_key(
            key.public_key(),
            device=order.device,
            model=order.model,
            authority=order.authority,
            key_type=order.profile.key_type,
        )
    try:
        with csr.open("rb") as file:
            pem = file.read(MAX_CSR_BYTES + 1)
    except OSError as error:
        raise RefusedError(f"--csr: {csr} cannot be read ({error.strerror}); give the device's request") from error
    try:
        return station.request(order, pem)
    except RefusedError as error:
        raise RefusedError(f"--csr: {csr}: {error}") from error
