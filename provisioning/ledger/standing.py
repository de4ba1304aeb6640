"""What stands for a request: the rules of one identity a device and one device a key."""

import shlex
import sqlite3
from pathlib import Path

from protocol.device_id import DeviceId
from provisioning.errors import ConflictError
from provisioning.ledger.records import Identity, Prepared
from provisioning.ledger.rows import device_with_key, identity_of, latest_of, prepared_of


def standing_for(
    connection: sqlite3.Connection, device: DeviceId, key_hash: bytes, *, model: str, authority: str
) -> Prepared | Identity | None:
    """The identity, or the right to sign it, that this very request has already; None when the way is free.

    `ConflictError` when the request contradicts what stands.
    """
    latest = latest_of(connection, device)
    if latest is None or latest.is_ended:
        _refuse_used_key(device_with_key(connection, key_hash), device)
        return None
    if latest.key_hash != key_hash:
        raise ConflictError(
            f"device {device} has an identity with another key; retire that first, and say why: "
            f"python -m provisioning revoke --device {device} --reason superseded {_of(connection)}"
        )
    if (latest.model, latest.authority) != (model, authority):
        raise ConflictError(
            f"device {device} was issued as model {latest.model} by {latest.authority}, not as model {model} by "
            f"{authority}; ask for what was issued, or revoke it and begin with a new key"
        )
    return identity_of(connection, latest.number) or prepared_of(connection, latest.number)


def _of(connection: sqlite3.Connection) -> str:
    """The options that lead a command to this ledger, wherever it is typed."""
    (environment,) = connection.execute("SELECT environment FROM ledger").fetchone()
    _, _, file = connection.execute("PRAGMA database_list").fetchone()
    return f"--stack {environment} --factory {shlex.quote(str(Path(file).parent))}"


def _refuse_used_key(owner: DeviceId | None, device: DeviceId) -> None:
    if owner == device:
        raise ConflictError(f"this key of device {device} was revoked; a new identity needs a new key")
    if owner is not None:
        raise ConflictError(f"this key belongs to device {owner}, and one key is one device; make a new key")
