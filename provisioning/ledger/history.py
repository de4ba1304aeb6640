"""The read side, for people and auditors: what the ledger knows of whom."""

from datetime import datetime

from protocol.device_id import DeviceId
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Event, History, Step


def read_history(ledger: Ledger, device: DeviceId | None = None) -> tuple[History, ...]:
    """Every issuance, or those of one device; the oldest first."""
    rows = ledger.connection.execute(
        "SELECT id, device, model, authority, serial, not_after, fingerprint FROM issuance "
        "LEFT JOIN certificate ON issuance = id WHERE ?1 IS NULL OR device = ?1 ORDER BY id",
        (device,),
    ).fetchall()
    return tuple(
        History(
            device=DeviceId(name),
            model=model,
            authority=authority,
            serial=serial,
            not_after=datetime.fromisoformat(not_after),
            fingerprint=fingerprint,
            events=_events(ledger, issuance),
            uploaded=_uploaded(ledger, issuance),
        )
        for issuance, name, model, authority, serial, not_after, fingerprint in rows
    )


def _events(ledger: Ledger, issuance: int) -> tuple[Event, ...]:
    rows = ledger.connection.execute("SELECT step, at, note FROM step WHERE issuance = ?", (issuance,)).fetchall()
    events = [Event(step=Step(step), at=datetime.fromisoformat(at), note=note) for step, at, note in rows]
    return tuple(sorted(events, key=lambda event: list(Step).index(event.step)))


def _uploaded(ledger: Ledger, issuance: int) -> tuple[str, ...]:
    rows = ledger.connection.execute(
        "SELECT manifest, standing FROM uploaded WHERE issuance = ? ORDER BY manifest", (issuance,)
    ).fetchall()
    return tuple(f"{manifest} {standing}" for manifest, standing in rows)
