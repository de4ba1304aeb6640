"""Move devices from one authority to another: who is left, in which waves, and what stands in the way. Pure.

A device has one identity at a time, so its old one ends (`superseded`) when the new one is issued. What overlaps are
the authorities: the clusters know both, from before the first wave until the old one signs nothing that stands.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from protocol.device_id import DeviceId
from provisioning.ending.selection import Standing
from provisioning.factory_file import FactoryFile
from provisioning.profile import Validity

FIRST_WAVE = 9
"""The first wave is looked at device by device (the rollout steps: Test has fewer than ten)."""
SHARES = (0.05, 0.10)
"""Of the fleet in the second and third wave (Canary, Expansion); the last one has the rest."""
NAMES = ("test", "canary", "expansion", "complete")


@dataclass(frozen=True, kw_only=True)
class Place:
    """What is known of the authority devices move to."""

    name: str
    certificate: x509.Certificate | None
    clusters_without: tuple[str, ...]
    """Clusters that do not know it yet; empty where nobody could be asked."""
    is_withdrawn: bool


@dataclass(frozen=True, kw_only=True)
class Move:
    """One device in one wave."""

    wave: str
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """The plan."""

    moves: tuple[Move, ...]
    obstacles: tuple[str, ...]
    """What must be done before the first wave, a sentence each."""


def plan_rotation(
    found: Iterable[Standing], ever: Iterable[DeviceId], old: str, new: Place, factory: FactoryFile, *, now: datetime
) -> Rotation:
    """Every device of the old authority in its wave, and every obstacle. `ever`: all that it ever had."""
    standing = tuple(found)
    moves = tuple(_moves(standing, ever))
    return Rotation(moves=moves, obstacles=tuple(_obstacles(standing, old, new, factory, now)))


def _moves(standing: tuple[Standing, ...], ever: Iterable[DeviceId]) -> Iterator[Move]:
    """Waves of a stable, even choice: which devices come first says nothing of where or when they were made.

    Those that have left keep their places, so that a wave stays the same until its last device has left.
    """
    left = {each.device: each for each in standing}
    chosen = sorted({*left, *ever}, key=lambda device: hashlib.sha256(device.encode()).digest())
    begin = 0
    for name, size in wave_sizes(len(chosen)).items():
        for device in chosen[begin : begin + size]:
            if device in left:
                yield Move(wave=name, standing=left[device])
        begin += size


def wave_sizes(count: int) -> dict[str, int]:
    """How many devices each wave has; waves without a device are left out."""
    sizes: dict[str, int] = {}
    left = count
    for name, wanted in zip(NAMES, (FIRST_WAVE, *(round(share * count) for share in SHARES), count), strict=True):
        if size := min(wanted, left):
            sizes[name] = size
            left -= size
    return sizes


def _obstacles(
    standing: tuple[Standing, ...], old: str, new: Place, factory: FactoryFile, now: datetime
) -> Iterator[str]:
    if new.name == old:
        yield f"{old} is both the old and the new authority; name another one as --to"
        return
    if new.is_withdrawn:
        yield f"{new.name} was taken back itself; name another one"
    if new.certificate is None:
        yield f"{new.name} has no certificate; hold its ceremony (or certify the station), commit it, and deploy"
    for cluster in new.clusters_without:
        yield f"cluster {cluster} does not know {new.name}; deploy, so that devices it signs are admitted there"
    able = factory.models_of(new.name)
    models: dict[str, int] = {}
    for each in standing:
        models[each.model] = models.get(each.model, 0) + 1
    for model, count in sorted(models.items()):
        if model not in able:
            yield f"{new.name} signs no {model}, and {count} devices are; add the model to one of its lines"
        elif new.certificate is not None:
            yield from _too_short(model, new.name, new.certificate, factory, now)


def _too_short(
    model: str, name: str, certificate: x509.Certificate, factory: FactoryFile, now: datetime
) -> Iterator[str]:
    lasting = Validity.lasting(factory.models[model].lifetime, now=now)
    ends = Validity.of(certificate).not_after
    if lasting.not_after > ends:
        yield (f"{name} ends on {ends:%Y-%m-%d}, before a {model} issued today would; name a younger one")


def overlap(standing: Iterable[Standing], now: datetime) -> timedelta:
    """How long the clusters must know the old authority if nothing is reissued."""
    return max((each.not_after - now for each in standing), default=timedelta(0))


def waves(moves: Iterable[Move]) -> Mapping[str, int]:
    """How many devices each wave has, in order."""
    counted: dict[str, int] = {}
    for move in moves:
        counted[move.wave] = counted.get(move.wave, 0) + 1
    return counted
