"""What stands, on this desk, for an address of the outside: a gateway that a device is pinned to by an A record."""

import json
from pathlib import Path

from local.write_file import write_file

ADDRESSES_FILE = "addresses.json"


def stand_for(home: Path, address: str, port: int, *, listener: int) -> None:
    """From now on the desk's proxy connects `address`:`port` to the `listener` port on loopback."""
    known = read_addresses(home)
    write_file(home / ADDRESSES_FILE, json.dumps({**known, f"{address}:{port}": listener}, indent=2, sort_keys=True))


def read_addresses(home: Path) -> dict[str, int]:
    """`address:port` to the loopback port that stands for it."""
    try:
        known = json.loads((home / ADDRESSES_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(key): int(value) for key, value in known.items()}
