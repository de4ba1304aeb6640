"""Run the factory's commands in a process that loses its power at one chosen moment: `dying_station MOMENT ARGUMENTS…`.

A moment is `before` or `after` a call of one of `CALLS`, such as `after:record`; with a number, that call's nth time.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import provisioning.bulk.batch
import provisioning.bulk.folder
import provisioning.bulk.keys
import provisioning.bulk.line
import provisioning.durable
import provisioning.hand_over
import provisioning.key_file
import provisioning.ledger.entries
import provisioning.sync
from provisioning.cli import app
from provisioning.file_signer import FileSigner
from provisioning.ledger.entries import Entries
from provisioning.ledger.ledger import Ledger
from provisioning.manifest import Manifest

CALLS: dict[str, tuple[Any, str]] = {
    "key": (provisioning.key_file, "create_durably"),
    "prepare": (Ledger, "prepare"),
    "add": (Entries, "add_all"),
    "link": (provisioning.ledger.entries, "link"),
    "sign": (FileSigner, "sign"),
    "record": (Ledger, "record"),
    "write": (provisioning.hand_over, "write_durably"),
    "deliver": (Ledger, "deliver"),
    "rename": (provisioning.durable, "sync_folder"),
    "tell": (Manifest, "tell"),
    "remember": (provisioning.sync, "remember"),
    "register": (Ledger, "register"),
    "keys": (provisioning.bulk.keys, "write_private"),
    "prepare_all": (Ledger, "prepare_all"),
    "record_all": (Ledger, "record_all"),
    "part": (provisioning.bulk.line, "write_durably"),
    "deliver_all": (Ledger, "deliver_all"),
    "join": (provisioning.bulk.folder, "join_durably"),
    "seal": (provisioning.bulk.batch, "seal"),
    "report": (provisioning.bulk.folder, "write_durably"),
}
"""What an issuance and a sync call: in modules and classes of the product, looked up there at each call."""


def die() -> None:
    """No handler, no flush, no rollback runs."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying(call: Callable[..., Any], *, before: bool, time: int) -> Callable[..., Any]:
    """The same call, whose nth time is the last thing this process does, or nearly does."""
    calls = 0

    def last(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if before and calls == time:
            die()
        result = call(*arguments, **named)
        if calls == time:
            die()
        return result

    return last


def main(moment: str, *arguments: str) -> None:
    when, _, rest = moment.partition(":")
    name, _, time = rest.partition(":")
    owner, attribute = CALLS[name]
    setattr(owner, attribute, dying(getattr(owner, attribute), before=when == "before", time=int(time or 1)))
    app(arguments, prog_name="dying_station")


if __name__ == "__main__":
    main(*sys.argv[1:])
