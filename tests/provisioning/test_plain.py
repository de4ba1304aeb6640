"""What the audit recognises by its octets is what the library would have read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.audit.plain import is_plainly_of
from provisioning.birth import subject_of
from tests.provisioning.ledgers import DEVICE, ask, intend

REQUEST = ask()
INTENT = intend(REQUEST)
TBS, KEY_HASH = INTENT.to_be_signed, bytes.fromhex(INTENT.key_hash)


def test_what_we_prepared_is_plainly_of_its_device_and_key() -> None:
    assert is_plainly_of(TBS, DEVICE, KEY_HASH)


@pytest.mark.parametrize("device", ["device2", "device", "devicé1", ""])
def test_it_is_of_no_other_device(device: str) -> None:
    assert not is_plainly_of(TBS, device, KEY_HASH)


def test_it_is_of_no_other_key() -> None:
    assert not is_plainly_of(TBS, DEVICE, bytes.fromhex(ask().key_hash))


@pytest.mark.parametrize("other", [b"", b"no DER", TBS[:-1], TBS + b"\x05\x00"])
def test_what_is_no_whole_certificate_is_plainly_nobodys(other: bytes) -> None:
    assert not is_plainly_of(other, DEVICE, KEY_HASH)


@given(st.integers(TBS.index(subject_of(DEVICE)), TBS.index(REQUEST.spki) + len(REQUEST.spki) - 1), st.integers(0, 7))
def test_a_subject_or_a_key_with_one_other_bit_is_not_recognised(at: int, bit: int) -> None:
    """The key stands behind the subject."""
    changed = TBS[:at] + bytes((TBS[at] ^ (1 << bit),)) + TBS[at + 1 :]
    assert not is_plainly_of(changed, DEVICE, KEY_HASH)
