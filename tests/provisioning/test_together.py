"""Many in one transaction are what they would be one by one, whoever among them is refused."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from protocol.device_id import DeviceId
from provisioning.algorithm import KeyType
from provisioning.audit.segment import Issuers, Sample, Segment, check_segment
from provisioning.certify import certify
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Intent, Prepared, Reason, Signed
from provisioning.ledger.rows import head_of
from provisioning.request import Request
from tests.provisioning.ledgers import AUTHORITY, NOW, intend
from tests.provisioning.requests import p256

DEVICES_AND_KEYS = st.tuples(st.integers(0, 2), st.integers(0, 2))
EXAMPLES = itertools.count()


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, Ledger]]:
    """For many examples, each with devices of its own: making a ledger takes longer than an example."""
    folder = tmp_path_factory.mktemp("ledgers")
    with (
        Ledger.open(folder / "together", "dev", create=True) as together,
        Ledger.open(folder / "alone", "dev", create=True) as alone,
    ):
        yield together, alone


def rows(ledger: Ledger, table: str, after: int) -> list[tuple[Any, ...]]:
    """Without their hashes, which depend on what the ledger is called."""
    asked = f"SELECT * FROM {table} WHERE number > ? ORDER BY number"  # noqa: S608  # a name of ours
    return [row[:-1] for row in ledger.connection.execute(asked, (after,))]


def comparable(given: Sequence[object]) -> list[object]:
    """Refusals as they read, but for the folder of the ledger that a way out names."""
    return [str(each).replace("/together", "/alone") if isinstance(each, RefusedError) else each for each in given]


@given(
    before=st.lists(st.tuples(DEVICES_AND_KEYS, st.booleans()), max_size=3),
    asked=st.lists(DEVICES_AND_KEYS, max_size=6),
    meanwhile=st.sets(st.integers(0, 2), max_size=1),
)
def test_many_together_are_what_they_would_be_one_by_one(
    before: list[tuple[tuple[int, int], bool]],
    asked: list[tuple[int, int]],
    meanwhile: set[int],
    ledgers: tuple[Ledger, Ledger],
) -> None:
    """`before`: devices with keys, and whether they were retired. `meanwhile`: revoked before they are signed."""
    (together, alone), example, keys = ledgers, next(EXAMPLES), [p256().public_key() for _ in range(3)]
    head = head_of(alone.connection).number

    def intended(device: int, key: int) -> Intent:
        named = DeviceId(f"device{device}-{example}")
        return intend(Request.of_key(keys[key], device=named, model="fl50", authority="line-a", key_type=KeyType.P256))

    for which, is_ended in before:
        intent = intended(*which)
        for ledger in ledgers:
            (standing,) = ledger.prepare_all([intent], at=NOW)
            if is_ended and isinstance(standing, Prepared):
                ledger.revoke(intent.device, Reason.SUPERSEDED, "", at=NOW)
    intents = [intended(*which) for which in asked]
    given = together.prepare_all(intents, at=NOW)
    assert comparable(given) == comparable([each for one in intents for each in alone.prepare_all([one], at=NOW)])
    signed = [
        Signed(each, certify(each.to_be_signed, AUTHORITY.signer).public_bytes(Encoding.DER))
        for each in given
        if isinstance(each, Prepared)
    ]
    for device in {f"device{number}-{example}" for number in meanwhile} & {each.prepared.device for each in signed}:
        for ledger in ledgers:
            ledger.revoke(DeviceId(device), Reason.KEY_COMPROMISE, "", at=NOW)
    recorded = together.record_all(signed, at=NOW)
    assert comparable(recorded) == comparable([each for one in signed for each in alone.record_all([one], at=NOW)])
    for table in ("issuance", "certificate", "step"):
        assert rows(together, table, head) == rows(alone, table, head)
    added = Segment(head + 1, head_of(together.connection).number)
    issuers = Issuers(certificates={"line-a": AUTHORITY.certificate}, rights={}, vendors=frozenset())
    checked = check_segment(together.connection, added, issuers, Sample(share=1, offset=0))
    assert checked.findings == (), "one chain without a gap, whatever was refused within it"
