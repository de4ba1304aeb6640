"""The devices of a wave whose new identity can be issued now: a file that `retire` and then `batch` take.

A new identity needs a new key, so each device sends a new request; of the others it is said that they are waited for.
"""

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from protocol.device_id import DeviceId
from provisioning.bulk.table import AUTHORITY, CSR_FILE, DEVICE, MODEL
from provisioning.ending.rotation import Move
from provisioning.ending.selection import MAX_SHOWN
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile, KeyMade
from provisioning.refused_keys import RefusedKeys
from provisioning.request import MAX_CSR_BYTES, Request

REQUEST = "{device}.csr.pem"
"""The file of a device's new request, in the folder where they are collected."""

KnownKey = Callable[[str], DeviceId | None]
"""Whose a public key is already, by its hash."""


@dataclass(frozen=True)
class Ready:
    """A device whose new identity can be issued now."""

    move: Move
    request: Path | None
    """None where the factory makes the key."""


@dataclass(frozen=True)
class Gathered:
    """A wave: whoever can be reissued now, and whoever has sent no request yet."""

    ready: tuple[Ready, ...]
    waiting: tuple[Move, ...]


def gather(
    moves: Iterable[Move], requests: Path | None, plan: FactoryFile, refused_keys: RefusedKeys, known: KnownKey
) -> Gathered:
    """Every request checked as `issue` would; `RefusedError` names each that is wrong, and the way out."""
    ready: list[Ready] = []
    waiting: list[Move] = []
    wrong: list[str] = []
    for move in moves:
        model = plan.models[move.standing.model]
        path = None if requests is None else requests / REQUEST.format(device=move.standing.device)
        if path is not None and path.exists():
            try:
                _check(path, move, plan, refused_keys, known)
            except RefusedError as error:
                wrong.append(f"{path}: {error}")
            else:
                ready.append(Ready(move, path))
        elif model.key_made is KeyMade.FACTORY:
            ready.append(Ready(move, None))
        else:
            waiting.append(move)
    if wrong:
        more = [f"and {len(wrong) - MAX_SHOWN} more"] if len(wrong) > MAX_SHOWN else []
        raise RefusedError("\n".join(wrong[:MAX_SHOWN] + more))
    return Gathered(tuple(ready), tuple(waiting))


def _check(path: Path, move: Move, plan: FactoryFile, refused_keys: RefusedKeys, known: KnownKey) -> None:
    standing = move.standing
    try:
        with path.open("rb") as file:
            pem = file.read(MAX_CSR_BYTES + 1)
    except OSError as error:
        raise RefusedError(f"cannot be read ({error.strerror}); give the device's request") from error
    request = Request.from_csr(
        pem,
        device=standing.device,
        model=standing.model,
        authority=standing.authority,
        key_type=plan.models[standing.model].key_type,
    )
    refused_keys.check(request.spki)
    if (owner := known(hashlib.sha256(request.spki).hexdigest())) is not None:
        whose = "the device has it already" if owner == standing.device else f"it is device {owner}'s"
        raise RefusedError(f"no key is certified twice, and {whose}; make a new key in the device")


def as_batch(gathered: Gathered, authority: str, folder: Path) -> bytes:
    """The file for `retire` and `batch`, to be written into `folder`: paths in it are from there."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([DEVICE, MODEL, AUTHORITY, CSR_FILE])
    for each in gathered.ready:
        standing = each.move.standing
        path = "" if each.request is None else os.path.relpath(each.request, folder)
        rows.writerow([standing.device, standing.model, authority, path])
    return text.getvalue().encode()
