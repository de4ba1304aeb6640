"""`python -m fleet route debug`: send one device to a gateway on a desk for some hours."""

import getpass
import shlex
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from fleet.commands.route_desk import RouteDesk
from fleet.commands.telling import errors_told
from fleet.errors import RefusedError
from fleet.gateway.broker import WATCH_PORT, Broker
from fleet.gateway.folder import start_command, watch_command
from fleet.gateway.identity import remove_identity
from fleet.gateway.lifetime import parse_lifetime
from fleet.gateway.opening import (
    Opening,
    check_known,
    gateway_authority,
    gateway_certificate,
    identity_place,
    open_gateway,
)
from fleet.gateway.redirect import Wish, bridged_cluster, check_allowed, end, redirect
from fleet.routing.plan import Change
from fleet.routing.plan_file import Plan, read_plan, write_plan
from fleet.routing.plan_text import TextPlan
from fleet.routing.requests import MAX_TEXT_CHARACTERS
from fleet.routing.route import Route
from fleet.routing.route_table import PlanProgress
from fleet.routing.target import InvalidTargetError, Target
from protocol.bundle import MQTT_TLS_PORT
from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id
from provisioning.commands.options import AsJson, Stack, now
from provisioning.commands.telling import tell
from provisioning.durable import make_folder
from provisioning.trust_anchors import amazon_trust_anchors, read_trust_anchors
from stacks.environment import Environment
from stacks.load import AUTHORITIES, find_ca_certificates, load_environment

PLAN_FILE = "redirect.plan"
"""In the gateway's folder, written first: a rerun goes on with it."""


@dataclass(frozen=True, kw_only=True)
class _Options:
    """How the gateway is made."""

    out: Path
    factory: Path | None
    authorities: Path
    trust_anchors: Path | None
    listen: tuple[str, int]
    watch_port: int
    cluster: str | None
    approved_by: str
    is_longer: bool


def debug(
    *,
    device: Annotated[str, typer.Argument(help="The device's id.")],
    stack: Stack,
    outputs: Annotated[Path, typer.Option(help="What the deployment gave: pulumi stack output --json.")],
    gateway: Annotated[str | None, typer.Option(help="The address of your desk, as the device reaches it.")] = None,
    for_: Annotated[str | None, typer.Option("--for", help="How long: 90m, 4h, 2d; 5 minutes to 7 days.")] = None,
    owner: Annotated[str | None, typer.Option(help="The team that answers for it.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for who reads the history.")] = None,
    out: Annotated[Path | None, typer.Option(help="The gateway's folder, made if need be.")] = None,
    approved_by: Annotated[str, typer.Option(help="Who answers for reading this device's data at a desk.")] = "",
    factory: Annotated[Path | None, typer.Option(help="The folder of the gateways' key, where it is a file.")] = None,
    authorities: Annotated[
        Path | None, typer.Option(help="Certificates of the authorities; default stacks/authorities/<stack>.")
    ] = None,
    trust_anchors: Annotated[
        Path | None, typer.Option(help="Roots of the cluster's server; default Amazon Trust Services.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Where its data goes on to, if its name chooses among several.")
    ] = None,
    listen: Annotated[str, typer.Option(help="PORT or ADDRESS:PORT the broker listens at.")] = str(MQTT_TLS_PORT),
    watch_port: Annotated[int, typer.Option(help="For your own tools, on loopback.", min=1, max=65535)] = WATCH_PORT,
    extend: Annotated[bool, typer.Option("--extend", help="Put this in the place of a redirect that stands.")] = False,
    end_now: Annotated[bool, typer.Option("--end", help="Send the device home now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send DEVICE to a gateway on a desk, until a time at which it comes back by itself."""
    with errors_told():
        name = _device(device)
        desk = RouteDesk.of(stack, outputs)
        if end_now:
            _tell_end(desk, name, as_json=as_json)
            return
        missing = [
            option
            for option, value in {
                "--gateway": gateway,
                "--for": for_,
                "--owner": owner,
                "--reason": reason,
                "--out": out,
            }.items()
            if not value
        ]
        _check_texts({"--owner": owner or "", "--reason": reason or "", "--approved-by": approved_by})
        if gateway is None or for_ is None or not owner or not reason or out is None:
            raise RefusedError(f"{', '.join(missing)}: is missing; a redirect says where, how long, whose and why")
        options = _Options(
            out=out,
            factory=factory,
            authorities=authorities or AUTHORITIES / stack,
            trust_anchors=trust_anchors,
            listen=_listen(listen),
            watch_port=watch_port,
            cluster=cluster,
            approved_by=approved_by,
            is_longer=extend,
        )
        wish = Wish(
            device=name,
            gateway=_address(gateway),
            expires=now().replace(microsecond=0) + parse_lifetime(for_),
            owner=owner,
            reason=reason,
            is_longer=extend,
        )
        check_allowed(name, desk.outputs.routing.pins, desk.outputs.environment, approved_by)
        told = _begin(desk, wish, options, load_environment(stack, today=None), end=_end_command(name, stack, outputs))
    tell(told, as_json=as_json)


def _begin(desk: RouteDesk, wish: Wish, options: _Options, environment: Environment, *, end: str) -> dict[str, str]:
    moment = now()
    begun = _begun(desk, wish, options.out, moment)
    change = _only(begun) if begun else redirect(wish, _standing(desk, wish.device), environment.domain, now=moment)
    cluster = bridged_cluster(change.returns_to, options.cluster, desk.outputs)
    place = identity_place(desk.outputs, cluster, desk.cloud)
    check_known(place, wish.device, cluster)
    certificates = find_ca_certificates(environment, options.authorities, today=moment.date())
    authority = gateway_authority(
        environment,
        gateway_certificate(environment, certificates, options.authorities),
        factory=options.factory,
        outputs=desk.outputs,
        outputs_path=desk.outputs_path,
        cloud=desk.cloud,
    )
    broker = _broker(desk, wish.device, change, cluster, options)
    opening = Opening(
        broker=broker,
        domain=environment.domain,
        address=str(change.after),
        authority=authority,
        issuing=[
            x509.load_pem_x509_certificate(certificates[name].pem.encode("ascii"))
            for name in sorted(environment.issuing)
            if name in certificates
        ],
        cluster_anchors=_anchors(options.trust_anchors),
        place=place,
        end=end,
    )
    make_folder(options.out, mode=0o700)
    plan: Plan = begun or write_plan(
        options.out / PLAN_FILE, desk.header(_request(wish), approved_by=options.approved_by, at=moment), [change]
    )
    open_gateway(opening, options.out, now=moment, new_serial=x509.random_serial_number)
    desk.apply(plan)
    return {
        "device": wish.device,
        "gateway": str(change.after),
        "until": change.expires.isoformat() if change.expires else "",
        "returns_to": str(change.returns_to),
        "bridged_to": cluster,
        "folder": str(options.out),
        "start": start_command(options.out),
        "watch": watch_command(broker),
        "end": end,
    }


def _tell_end(desk: RouteDesk, device: DeviceId, *, as_json: bool) -> None:
    """Home first, then the identity: a sweep finds the identity by its name, should this be cut short."""
    moment = now()
    change = end(desk.table.read([device]).get(device), device, desk.outputs.domain, by=desk.holder)
    desk.apply(TextPlan.of(desk.header(f"debug {device} --end", approved_by="", at=moment), [change]))
    removed = [
        cluster
        for cluster in sorted(desk.outputs.clusters)
        if remove_identity(identity_place(desk.outputs, cluster, desk.cloud), device)
    ]
    tell(
        {"device": device, "goes_to": str(change.after), "gateway_removed_from": ", ".join(removed) or "no cluster"},
        as_json=as_json,
    )


def _begun(desk: RouteDesk, wish: Wish, folder: Path, moment: datetime) -> Plan | None:
    """The plan in the folder, if it was made for the same wish and is not done."""
    if not (folder / PLAN_FILE).exists():
        return None
    plan = read_plan(folder / PLAN_FILE)
    change = _only(plan)
    if change.device != wish.device:
        raise RefusedError(f"{folder}: holds the gateway of {change.device}; give {wish.device} a folder of its own")
    entry = desk.table.read_plan(plan.digest)
    is_done = entry is not None and entry.progress is PlanProgress.DONE
    is_over = change.expires is None or change.expires <= moment
    if is_done or is_over or change.after != wish.gateway or desk.is_overtaken(change, plan.digest):
        return None
    return plan


def _only(plan: Plan) -> Change:
    changes = list(plan.changes())
    if len(changes) != 1:
        raise RefusedError(f"{plan.path}: is no plan of one redirect; give a folder of its own")
    return changes[0]


def _standing(desk: RouteDesk, device: DeviceId) -> Route | None:
    return desk.table.read([device]).get(device)


def _broker(desk: RouteDesk, device: DeviceId, change: Change, cluster: str, options: _Options) -> Broker:
    if change.expires is None:
        raise RefusedError(f"{options.out / PLAN_FILE}: has no end, so it is no redirect; give another folder")
    address, port = options.listen
    return Broker(
        device=device,
        expires=change.expires,
        cluster=cluster,
        server_name=desk.outputs.clusters[cluster].server_name,
        listen_address=address,
        listen_port=port,
        watch_port=options.watch_port,
        user=getpass.getuser(),
    )


def _check_texts(texts: dict[str, str]) -> None:
    for option, text in texts.items():
        if len(text) > MAX_TEXT_CHARACTERS or not text.isprintable():
            raise RefusedError(f"{option}: is kept as one line of at most {MAX_TEXT_CHARACTERS} characters; shorten it")


def _device(text: str) -> DeviceId:
    try:
        return parse_device_id(text)
    except InvalidDeviceIdError as error:
        raise RefusedError(f"DEVICE: {error}") from error


def _address(text: str) -> Target:
    try:
        target = Target.parse(text)
    except InvalidTargetError:
        target = Target()
    if not target.address:
        raise RefusedError(f"--gateway: {text!r} is no IP address; give that of your desk, as the device reaches it")
    return target


def _listen(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise RefusedError(f"--listen: {text!r} is neither PORT nor ADDRESS:PORT, such as 8883 or 192.0.2.100:8883")
    return address.strip("[]"), int(port)


def _anchors(path: Path | None) -> bytes:
    return amazon_trust_anchors() if path is None else read_trust_anchors(path)


def _request(wish: Wish) -> str:
    return f"debug {wish.device} --gateway {wish.gateway} until {wish.expires.isoformat()}"


def _end_command(device: DeviceId, stack: str, outputs: Path) -> str:
    program = Path(sys.executable).name
    return shlex.join(
        [program, "-m", "fleet", "route", "debug", device, "--stack", stack, "--outputs", str(outputs), "--end"]
    )
