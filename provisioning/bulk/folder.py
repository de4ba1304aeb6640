"""The folder of a batch: what it is of, the parts that are done, and in the end the whole.

| name | what it is |
|---|---|
| `batch.json` | what this folder is of, so that nothing else is ever mixed in; whoever works here holds a lock on it |
| `parts/` | while it runs: per part, its keys, its rows that failed, its certificates |
| `certificates.csv` | one row a device: its certificate as the Base64 of its DER |
| `keys.csv` | mode 0600: one row a device whose key was made here, PKCS#8 as the Base64 of its DER |
| `passphrase-check.pem` | of a batch with encrypted keys: opens with the passphrase that it began with |
| `failed.csv` | the rows that came back, as they were given, each with its reason |
| `trust-anchors.pem`, `<authority>.issuers.pem` | what the bundles of the batch have in common |
| `report.json` | what was done |
| `report.json.sig`, `station.pub.pem` | the station's signature over exactly that file, and its key |
"""

import fcntl
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning.durable import PRIVATE, create_durably, join_durably, make_folder, write_durably
from provisioning.errors import RefusedError, StationError
from provisioning.key_file import make_or_read_authority_key

CERTIFICATES = "certificates.csv"
KEYS = "keys.csv"
FAILED = "failed.csv"
REPORT = "report.json"
CERTIFICATES_HEADER = b"device,model,authority,serial,fingerprint,not_after,reconnect_place,certificate\n"
KEYS_HEADER = b"device,key\n"
_BATCH = "batch.json"
_PARTS = "parts"
_CHECK = "passphrase-check.pem"


@dataclass(frozen=True)
class Folder:
    """The folder given as `--out`."""

    path: Path

    def check_place(self) -> None:
        """Refuse a path that can be no folder, before anything else is done."""
        for path in (self.path, *self.path.parents):
            if path.exists() and not path.is_dir():
                raise RefusedError(f"--out: {path} is a file; give the batch a folder of its own")

    @contextmanager
    def held(self, of: Mapping[str, Any]) -> Iterator[None]:
        """Make it this batch's, durably, and hold it: two runs at once would each replace the other's keys.

        `RefusedError` when it is another batch's; `StationError` while another run, or a process of one, works in it.
        A killed process holds nothing.
        """
        self._claim(of)
        with self._locked(fcntl.LOCK_EX, fcntl.LOCK_SH):
            make_folder(self.path / _PARTS, mode=0o700)
            yield

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it in a process that `held` it has started: one that outlives its killed parent keeps the next run out.

        `StationError` when that next run was first.
        """
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def _locked(self, *kinds: int) -> Iterator[None]:
        """The last of `kinds` of lock, for whoever could have all of them, one after another, without waiting."""
        with (self.path / _BATCH).open("r+b") as lock:
            try:
                for kind in kinds:
                    fcntl.flock(lock, kind | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StationError(
                    f"{self.path}: this batch is running already; wait until that has ended, then run this again"
                ) from error
            yield

    def _claim(self, of: Mapping[str, Any]) -> None:
        make_folder(self.path)
        self._check_ours()
        document = json.dumps(of, indent=2).encode() + b"\n"
        create_durably(self.path / _BATCH, document, mode=0o644)
        try:
            found = json.loads((self.path / _BATCH).read_bytes())
        except (OSError, ValueError) as error:
            raise StationError(
                f"{self.path / _BATCH}: is no description of a batch ({error}); give another --out"
            ) from error
        if found != dict(of):
            raise RefusedError(
                f"{self.path}: belongs to another batch, of {found.get('file')} with "
                f"{found.get('rows')} rows; give this file, or these options, a folder of their own"
            )

    def _check_ours(self) -> None:
        """Refuse a folder with files that no batch made: some of them could have the names of ours."""
        found = [each.name for each in self.path.iterdir()]
        others = [name for name in found if not (name.startswith(".") and name.endswith(".tmp"))]
        # Asked after the look around: of a batch that has just begun here, its description is the first.
        if others and not (self.path / _BATCH).exists():
            raise RefusedError(
                f"{self.path}: holds {min(others)} and is the folder of no batch; give --out a folder of its own"
            )

    def check_passphrase(self, passphrase: bytes) -> None:
        """Refuse another passphrase than the one this batch began with: its keys would open with two.

        A key that nobody uses is kept encrypted for that, from the first time on.
        """
        try:
            make_or_read_authority_key(self.path / _CHECK, passphrase)
        except StationError as error:
            raise RefusedError(
                f"{self.path}: this batch began with another passphrase for its keys; give that one ({error})"
            ) from error

    def report(self) -> dict[str, Any] | None:
        """The report, if the batch is done."""
        try:
            found: dict[str, Any] = json.loads((self.path / REPORT).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StationError(f"{self.path / REPORT}: is no report ({error}); restore it") from error
        return found

    def device(self, name: str) -> Path:
        """The folder of one device's bundle."""
        return self.path / "devices" / name

    def certificates(self, part: int) -> Path:
        """The certificates of a part. Where this file stands, all of the part's files stand."""
        return self._part(part, CERTIFICATES)

    def keys(self, part: int) -> Path:
        """The keys that were made for a part, before the ledger heard of them."""
        return self._part(part, KEYS)

    def failed(self, part: int) -> Path:
        """The rows of a part that were refused."""
        return self._part(part, FAILED)

    def join(self, name: str, parts: Iterable[int], header: bytes, *, mode: int = 0o644) -> str | None:
        """Put the parts' files of one name together; the SHA-256 of the whole, or None where there are none."""
        found = [path for part in parts if (path := self._part(part, name)).exists()]
        return join_durably(self.path / name, header, found, mode=mode) if found else None

    def write(self, name: str, data: bytes) -> None:
        """One more file of the whole."""
        write_durably(self.path / name, data)

    def forget_parts(self) -> None:
        """The whole stands, so the parts may go, and what a killed run began of it: there are keys among both."""
        for unfinished in self.path.glob(".*.tmp"):
            unfinished.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.rmtree(self.path / _PARTS)

    def _part(self, part: int, name: str) -> Path:
        return self.path / _PARTS / f"{part:06}.{name}"


def write_private(path: Path, data: bytes) -> None:
    """A file for its owner alone."""
    write_durably(path, data, mode=PRIVATE)
