"""`python -m provisioning rotate`: from one authority to the next, planned in waves."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from provisioning.authority import read_certificate
from provisioning.commands.options import AsJson, Authorities, Factory, OutputsFile, Profiles, Stack, now, outputs_of
from provisioning.commands.telling import REFUSED, errors_told, tell, tell_error, tell_rows
from provisioning.crl.withdrawn import read_withdrawn
from provisioning.durable import write_durably
from provisioning.ending.rotation import Move, Place, Rotation, overlap, plan_rotation
from provisioning.ending.selection import of_signer
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.read_factory import factory_of
from stacks.load import AUTHORITIES


def rotate(
    *,
    stack: Stack,
    factory: Factory,
    authority: Annotated[str, typer.Option(help="The old authority or station: what it signed is to be reissued.")],
    to: Annotated[str, typer.Option(help="The new authority or station.")],
    out: Annotated[Path | None, typer.Option(help="A CSV file of the waves, for who reissues.")] = None,
    authorities: Authorities = None,
    profiles: Profiles = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what must be reissued, in which waves, and what stands in the way; run it again to see how far it is."""
    with errors_told():
        plan, _ = factory_of(stack, profiles)
        for option, name in (("--authority", authority), ("--to", to)):
            if name not in (known := (*plan.authorities, *plan.stations)):
                raise RefusedError(f"{option}: factory {stack} has no authority {name!r}; it has {', '.join(known)}")
        place = _place(to, stack, factory, authorities or AUTHORITIES / stack, outputs)
        with Ledger.open(factory, stack) as ledger:
            found = tuple(of_signer(ledger, authority))
            renewed = sum(1 for _ in of_signer(ledger, to))
        rotation = plan_rotation(found, authority, place, plan, now=now())
        days = overlap(found, now()).days
        if out is not None:
            write_durably(out, _csv(rotation.moves))
    _tell(rotation, authority, to, renewed=renewed, days=days, out=out, as_json=as_json)
    if rotation.obstacles:
        raise typer.Exit(REFUSED)


def _place(name: str, stack: str, factory: Path, folder: Path, outputs: Path | None) -> Place:
    known = outputs_of(stack, outputs) if outputs is not None else None
    registered = {} if known is None or name not in known.authorities else known.authorities[name].ca_certificate_ids
    certificate = read_certificate(folder / f"{name}.pem")
    serial = "" if certificate is None else f"{certificate.serial_number:x}"
    return Place(
        name=name,
        certificate=certificate,
        clusters_without=() if known is None else tuple(each for each in known.clusters if each not in registered),
        is_withdrawn=any((each.name, each.serial) == (name, serial) for each in read_withdrawn(factory)),
    )


def _csv(moves: Sequence[Move]) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["wave", "device", "model", "not_after", "fingerprint"])
    for move in moves:
        each = move.standing
        rows.writerow([move.wave, each.device, each.model, each.not_after.isoformat(), each.fingerprint])
    return text.getvalue().encode()


def _tell(rotation: Rotation, old: str, new: str, *, renewed: int, days: int, out: Path | None, as_json: bool) -> None:
    left = len(rotation.moves)
    by_wave: dict[str, list[Move]] = {}
    for move in rotation.moves:
        by_wave.setdefault(move.wave, []).append(move)
    rows = [
        {
            "wave": name,
            "devices": str(len(moves)),
            "first_to_end": min(move.standing.not_after for move in moves).date().isoformat(),
            "begins_with": moves[0].standing.device,
        }
        for name, moves in by_wave.items()
    ]
    facts = {
        "from": old,
        "to": new,
        "to_reissue": left,
        "standing_under_new": renewed,
        "overlap_days": days,
        "waves_file": "" if out is None else str(out),
        "next": _following(rotation, old),
    }
    if as_json:
        tell({**facts, "waves": rows, "obstacles": list(rotation.obstacles)}, as_json=True)
        return
    tell_rows("waves", rows, as_json=False)
    tell(facts, as_json=False)
    for obstacle in rotation.obstacles:
        tell_error(RefusedError(obstacle))


def _following(rotation: Rotation, old: str) -> str:
    if rotation.obstacles:
        return "remove what stands in the way, then run this again"
    if rotation.moves:
        return "a wave at a time: retire its devices as superseded, issue each with a new key, wait until they connect"
    return f"nothing that {old} signed stands any more: `revocation plan --authority {old} --reason superseded`"
