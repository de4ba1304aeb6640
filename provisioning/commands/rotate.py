"""`python -m provisioning rotate`: from one authority to the next, planned in waves."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from provisioning.authority import read_certificate
from provisioning.commands.options import AsJson, Authorities, Factory, OutputsFile, Profiles, Stack, now, outputs_of
from provisioning.commands.out_file import check_out
from provisioning.commands.telling import MOST_ROWS, REFUSED, errors_told, tell, tell_error, tell_rows
from provisioning.crl.withdrawn import read_withdrawn
from provisioning.durable import write_durably
from provisioning.ending.reissue import Gathered, as_batch, gather
from provisioning.ending.rotation import Move, Place, Rotation, overlap, plan_rotation, waves
from provisioning.ending.selection import ever_of, of_signer, owner_of
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.read_factory import factory_of
from provisioning.refused_keys import read_refused_keys
from stacks.load import AUTHORITIES


def rotate(
    *,
    stack: Stack,
    factory: Factory,
    authority: Annotated[str, typer.Option(help="The old authority or station: what it signed is to be reissued.")],
    to: Annotated[str, typer.Option(help="The new authority or station.")],
    out: Annotated[Path | None, typer.Option(help="A CSV file of the waves, for who looks at them.")] = None,
    batch: Annotated[
        Path | None, typer.Option(help="A CSV file for `retire` and `batch`: whoever of --wave can be reissued now.")
    ] = None,
    wave: Annotated[str | None, typer.Option(help="With --batch: which wave; default the first one left.")] = None,
    requests: Annotated[
        Path | None, typer.Option(help="With --batch: the folder of the devices' new requests, <device>.csr.pem.")
    ] = None,
    authorities: Authorities = None,
    profiles: Profiles = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what must be reissued, in which waves, and what stands in the way; run it again to see how far it is."""
    with errors_told():
        plan, _ = factory_of(stack, profiles)
        if batch is None and (wave is not None or requests is not None):
            raise RefusedError("--wave and --requests go with --batch FILE, which they fill")
        for option, file in (("--out", out), ("--batch", batch)):
            if file is not None:
                check_out(option, file)
        for option, name in (("--authority", authority), ("--to", to)):
            if name not in (known := (*plan.authorities, *plan.stations)):
                raise RefusedError(f"{option}: factory {stack} has no authority {name!r}; it has {', '.join(known)}")
        place = _place(to, stack, factory, authorities or AUTHORITIES / stack, outputs)
        with Ledger.open(factory, stack) as ledger:
            found = tuple(of_signer(ledger, authority))
            renewed = sum(1 for _ in of_signer(ledger, to))
            rotation = plan_rotation(found, ever_of(ledger, authority), authority, place, plan, now=now())
            gathered = None
            if batch is not None and not rotation.obstacles:
                lists = read_refused_keys(plan, profiles)
                chosen = _of_wave(rotation, wave)
                gathered = gather(chosen, requests, plan, lists, lambda key: owner_of(ledger, key))
                if gathered.ready:
                    write_durably(batch, as_batch(gathered, to, batch.parent))
        days = overlap(found, now()).days
        if out is not None:
            write_durably(out, _csv(rotation.moves, to))
    told = _Told(old=authority, new=to, renewed=renewed, days=days, out=out, batch=batch, gathered=gathered)
    _tell(rotation, told, as_json=as_json)
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


def _of_wave(rotation: Rotation, wave: str | None) -> list[Move]:
    """The devices of a wave, or of the first one that is left."""
    left = list(waves(rotation.moves))
    if wave is not None and wave not in left:
        raise RefusedError(f"--wave: nobody of {wave!r} is left; left are {', '.join(left) or 'none'}")
    return [move for move in rotation.moves if move.wave == (wave or left[0])]


def _csv(moves: Sequence[Move], authority: str) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["wave", "device", "model", "authority", "not_after", "fingerprint"])
    for move in moves:
        each = move.standing
        rows.writerow([move.wave, each.device, each.model, authority, each.not_after.isoformat(), each.fingerprint])
    return text.getvalue().encode()


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What is told beside the waves."""

    old: str
    new: str
    renewed: int
    days: int
    out: Path | None
    batch: Path | None
    gathered: Gathered | None


def _tell(rotation: Rotation, told: _Told, *, as_json: bool) -> None:
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
    waiting = [] if told.gathered is None else [str(move.standing.device) for move in told.gathered.waiting]
    facts = {
        "from": told.old,
        "to": told.new,
        "to_reissue": len(rotation.moves),
        "standing_under_new": told.renewed,
        "overlap_days": told.days,
        "waves_file": "" if told.out is None else str(told.out),
        **_of_batch(told),
        "next": _following(rotation, told),
    }
    if as_json:
        tell(
            {**facts, "waves": rows, "obstacles": list(rotation.obstacles), "waiting_for_request": waiting},
            as_json=True,
        )
        return
    tell_rows("waves", rows, as_json=False)
    if waiting:
        shown = [{"without_a_request": device} for device in waiting[:MOST_ROWS]]
        tell_rows("without a request", shown, as_json=False)
    tell(facts, as_json=False)
    for obstacle in rotation.obstacles:
        tell_error(RefusedError(obstacle))


def _of_batch(told: _Told) -> dict[str, object]:
    if told.gathered is None:
        return {}
    return {
        "batch_file": str(told.batch) if told.gathered.ready else "not written, there is nobody to reissue yet",
        "can_be_reissued": len(told.gathered.ready),
        "without_a_request": len(told.gathered.waiting),
    }


def _following(rotation: Rotation, told: _Told) -> str:
    if rotation.obstacles:
        return "remove what stands in the way, then run this again"
    if not rotation.moves:
        closing = f"`revocation plan --authority {told.old} --reason superseded`"
        return f"nothing that {told.old} signed stands any more: {closing}"
    if told.gathered is None:
        return "collect new requests of the first wave in a folder, then run this with --requests FOLDER --batch FILE"
    if not told.gathered.ready:
        return "collect the requests, then run this again"
    return (
        f"`retire {told.batch} --reason superseded --note rotation --apply`, `batch {told.batch}`, each bundle into "
        "its device while that is still connected, and only then `sync`"
    )
