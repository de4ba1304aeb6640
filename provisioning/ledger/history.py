"""The read side, for people and auditors: what the ledger knows of whom."""

from collections.abc import Iterator

from protocol.device_id import DeviceId
from provisioning.ledger.delivery import delivered_at
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Event, History, Step
from provisioning.ledger.times import from_microseconds

_AFTER = """
SELECT step, at, place || note FROM step WHERE step IN ('registered', 'proven', 'revoked', 'retired') AND issuance = ?
"""
_ORDER = {step: place for place, step in enumerate(Step)}


def read_history(ledger: Ledger, device: DeviceId | None = None, *, newest: int | None = None) -> Iterator[History]:
    """Every issuance, those of one device, or the `newest`; the oldest first, each read when it is asked for."""
    rows = ledger.connection.execute(
        "SELECT issuance.number, issuance.at, device, model, authority, serial, not_after, fingerprint, certificate.at "
        "FROM issuance LEFT JOIN certificate ON issuance = issuance.number "
        "WHERE (?1 IS NULL OR device = ?1) AND issuance.number >= coalesce(("
        "SELECT min(number) FROM (SELECT number FROM issuance ORDER BY number DESC LIMIT coalesce(?2, -1))), 0) "
        "ORDER BY issuance.number",
        (device, newest),
    )
    for issuance, prepared, name, model, authority, serial, not_after, fingerprint, signed in rows:
        yield History(
            device=DeviceId(name),
            model=model,
            authority=authority,
            serial=f"{int.from_bytes(serial):x}",
            not_after=from_microseconds(not_after),
            fingerprint=None if fingerprint is None else fingerprint.hex(),
            events=(*_signing(prepared, signed), *_after(ledger, issuance)),
            uploaded=_uploaded(ledger, issuance),
        )


def count_issuances(ledger: Ledger) -> int:
    """How many there are."""
    (count,) = ledger.connection.execute("SELECT count(*) FROM issuance").fetchone()
    return int(count)


def _signing(prepared: int, signed: int | None) -> tuple[Event, ...]:
    """Reserving and preparing are one entry; the certificate is the other."""
    steps = {Step.RESERVED: prepared, Step.PREPARED: prepared, Step.SIGNED: signed}
    return tuple(Event(step=step, at=from_microseconds(at), note="") for step, at in steps.items() if at is not None)


def _after(ledger: Ledger, issuance: int) -> tuple[Event, ...]:
    delivered = delivered_at(ledger.connection, issuance)
    rows = ledger.connection.execute(_AFTER, (issuance,))
    events = [Event(step=Step(step), at=from_microseconds(at), note=note) for step, at, note in rows]
    if delivered is not None:
        events.append(Event(step=Step.DELIVERED, at=from_microseconds(delivered), note=""))
    return tuple(sorted(events, key=lambda event: (_ORDER[event.step], event.note)))


def _uploaded(ledger: Ledger, issuance: int) -> tuple[str, ...]:
    rows = ledger.connection.execute(
        "SELECT manifest, standing FROM uploaded WHERE issuance = ? ORDER BY manifest", (issuance,)
    ).fetchall()
    return tuple(f"{manifest} {standing}" for manifest, standing in rows)
