"""Issue the parts of a batch, one after another: what one process does.

The order within a part is that of one issuance: keys on the disk, intents in the ledger, signatures, certificates in
the ledger, results on the disk, and only then the ledger says that they were delivered.

A row whose standing identity is not valid by this station's clock comes back with the reason, if the device has the
key. A key that was made here would go with the row, and would be wanted if it is the clock that is wrong: such a row
keeps its part unfinished, and everything else goes on.
"""

import csv
import io
from binascii import a2b_base64, b2a_base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.x509 import load_der_x509_certificate

from protocol.bundle import KEY_FILE
from protocol.device_id import DeviceId
from protocol.reconnect_place import reconnect_place
from provisioning.algorithm import PublicKey
from provisioning.bulk.duplicates import Seen
from provisioning.bulk.failed import failed_rows
from provisioning.bulk.folder import Folder
from provisioning.bulk.keys import Made, keep_keys, make_or_read_keys
from provisioning.bulk.problems import Problem, Problems
from provisioning.bulk.rows import Asked, Defaults, RowError, asked, check
from provisioning.bulk.table import DEVICE, Part, Row, Table
from provisioning.durable import make_folder, write_durably
from provisioning.errors import RefusedError, StationError
from provisioning.hand_over import hand_over
from provisioning.issue_many import Wanted
from provisioning.key_file import make_or_read_device_key
from provisioning.ledger.delivery import delivered_at
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.rows import latest_of
from provisioning.request import Request
from provisioning.station import Station


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check of a part found."""

    problems: Problems
    keys: Seen
    """Those of its requests."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a part came to."""

    issued: int
    failed: int
    waiting: tuple[Problem, ...] = ()
    """Rows that are neither, so their part is not finished."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A station with an open ledger, and the batch it works on."""

    station: Station
    table: Table
    defaults: Defaults
    folder: Folder
    has_bundles: bool
    """Whether each device gets a folder with its bundle, as from `issue`."""
    key_passphrase: bytes | None = field(default=None, repr=False)
    """What the keys that are made here are encrypted with; None where they are not."""

    def check(self, part: Part) -> Checked:
        """What is wrong with the rows of a part, each by itself; nothing is written."""
        found = Checked(Problems(), Seen())
        for row in self.table.rows_of(part):
            try:
                key = check(row, self.defaults, self.station, self.table.path.parent)
                if key is not None:
                    found.keys.add(key, row.line)
            except RowError as error:
                found.problems.add(Problem(row.line, error.column, error.text))
        return found

    def issue(self, part: Part, ledger: Ledger) -> Done:
        """Every row of a part issued and on the disk, or among the failed with its reason. A rerun changes nothing."""
        if self._is_done(part, ledger):
            return Done(_lines(self.folder.certificates(part.index).read_bytes()), self._count_failed(part))
        refused: dict[int, str] = {}
        waiting: list[Problem] = []
        rows = self.table.rows_of(part)
        requests = self._requests(part, [self._asked(row, refused) for row in rows], refused)
        identities = self._identities(requests, ledger, refused, waiting)
        if waiting:
            return Done(0, 0, tuple(waiting))
        self._write(part, rows, identities, refused, ledger.name)
        ledger.deliver_all(list(identities.values()), at=self.station.clock())
        return Done(len(identities), len(refused))

    def _asked(self, row: Row, refused: dict[int, str]) -> Asked | None:
        try:
            return asked(row, self.defaults, self.station, self.table.path.parent)
        except RowError as error:
            refused[row.line] = f"{error.column}: {error.text}"
            return None

    def _requests(
        self, part: Part, rows: Sequence[Asked | None], refused: dict[int, str]
    ) -> list[tuple[Asked, Request]]:
        """Each with its request: the device's, or that of a key made here."""
        found = [each for each in rows if each is not None]
        made = [each for each in found if each.csr is None]
        keys: dict[str, Made] = {}
        if self.has_bundles:
            keys.update((each.order.device, Made(self._key_in_folder(each))) for each in made)
        elif made:
            keys = make_or_read_keys(self.folder.keys(part.index), made, self.key_passphrase)
        requests = []
        for each in found:
            order = each.order
            try:
                if each.csr is not None:
                    request = self.station.request(order, each.csr)
                else:
                    request = Request.of_key(
                        keys[order.device].key,
                        encoded=keys[order.device].encoded,
                        device=order.device,
                        model=order.model,
                        authority=order.authority,
                        key_type=order.profile.key_type,
                    )
                requests.append((each, request))
            except RefusedError as error:
                refused[each.row.line] = str(error)
        return requests

    def _identities(
        self,
        requests: Sequence[tuple[Asked, Request]],
        ledger: Ledger,
        refused: dict[int, str],
        waiting: list[Problem],
    ) -> dict[int, Identity]:
        """By line, in the order of the lines."""
        by_signer: dict[str, list[tuple[Asked, Request]]] = defaultdict(list)
        for each in requests:
            by_signer[each[0].order.authority].append(each)
        found: dict[int, Identity] = {}
        for signer, group in by_signer.items():
            wanted = [Wanted(request, row.order.profile) for row, request in group]
            for (row, _), given in zip(group, self.station.issue_many(signer, wanted, ledger), strict=True):
                if isinstance(given, Identity):
                    found[row.row.line] = given
                elif row.csr is None and isinstance(given, StationError):
                    waiting.append(Problem(row.row.line, DEVICE, str(given)))
                else:
                    refused[row.row.line] = str(given)
        return dict(sorted(found.items()))

    def _write(
        self,
        part: Part,
        rows: Sequence[Row],
        identities: dict[int, Identity],
        refused: dict[int, str],
        ledger: str,
    ) -> None:
        """The part's files; the certificates last, so that where they stand, all stand."""
        if self.folder.keys(part.index).exists():
            keep_keys(self.folder.keys(part.index), frozenset(each.device for each in identities.values()))
        if self.has_bundles:
            self._hand_over(identities, ledger)
        failed = self.folder.failed(part.index)
        if refused:
            write_durably(failed, failed_rows(self.table, self.folder.path, rows, refused))
        else:
            failed.unlink(missing_ok=True)
        results = b"".join(_result(identity, ledger) for identity in identities.values())
        write_durably(self.folder.certificates(part.index), results)

    def _hand_over(self, identities: dict[int, Identity], ledger: str) -> None:
        issuers = {each.authority for each in identities.values()}
        certificates = {name: self.station.authority(name).certificate for name in issuers}
        for identity in identities.values():
            files = self.station.bundle(identity, certificates[identity.authority], ledger)
            hand_over(identity, files, self.folder.device(identity.device))

    def _key_in_folder(self, row: Asked) -> PublicKey:
        folder = self.folder.device(row.order.device)
        make_folder(folder)
        return make_or_read_device_key(folder / KEY_FILE, row.order.profile.key_type).public_key()

    def _is_done(self, part: Part, ledger: Ledger) -> bool:
        """Whether an earlier run came to the end of a part: its files stand, and the ledger knows of the delivery.

        And whether what it issued is valid by this run's clock, before it is handed out with the whole.
        """
        path = self.folder.certificates(part.index)
        if not path.exists():
            return False
        results = path.read_bytes()
        if not results:
            return True
        device = DeviceId(results.rsplit(b"\n", 2)[-2].partition(b",")[0].decode())
        latest = latest_of(ledger.connection, device)
        if latest is None or delivered_at(ledger.connection, latest.number) is None:
            return False
        now = self.station.clock()
        certificates = (load_der_x509_certificate(a2b_base64(line.rpartition(b",")[2])) for line in results.split())
        return all(each.not_valid_before_utc <= now <= each.not_valid_after_utc for each in certificates)

    def _count_failed(self, part: Part) -> int:
        path = self.folder.failed(part.index)
        if not path.exists():
            return 0
        return sum(1 for _ in csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def _result(identity: Identity, ledger: str) -> bytes:
    """One line; nothing in it needs quotes."""
    facts = (
        identity.device,
        identity.model,
        identity.authority,
        f"{identity.serial:x}",
        identity.fingerprint,
        identity.not_after.isoformat(),
        f"{reconnect_place(identity.issuance, ledger)}",
    )
    return ",".join(facts).encode() + b"," + b2a_base64(identity.der)


def _lines(data: bytes) -> int:
    return data.count(b"\n")
