"""Serial numbers: random, positive, of a length everyone takes, and recognisable by their issuer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.serials import SerialRange, serials_of

PREFIXES = st.builds(lambda first, more: f"{first:02x}{more.hex()}", st.integers(1, 0x7F), st.binary(max_size=3))


@given(prefix=PREFIXES, seed=st.binary(min_size=19, max_size=19))
def test_every_serial_number_is_positive_20_octets_long_and_begins_as_its_range_does(prefix: str, seed: bytes) -> None:
    serial = SerialRange(prefix).draw(lambda octets: seed[:octets])
    assert 0 < serial < 2**159
    assert f"{serial:040x}".startswith(prefix)
    assert SerialRange(prefix).contains(serial)
    assert not SerialRange(prefix).contains(serial ^ 1 << 152), "another first octet is another's"


@given(one=PREFIXES, other=PREFIXES, seed=st.binary(min_size=19, max_size=19))
def test_ranges_that_do_not_overlap_share_no_serial_number(one: str, other: str, seed: bytes) -> None:
    mine, theirs = SerialRange(one), SerialRange(other)
    assert mine.overlaps(theirs) == theirs.overlaps(mine)
    if not mine.overlaps(theirs):
        assert not theirs.contains(mine.draw(lambda octets: seed[:octets]))


@pytest.mark.parametrize("prefix", [None, "0a", "7fffffff"])
def test_no_serial_number_is_given_twice(prefix: str | None) -> None:
    draw = serials_of(prefix)
    drawn = {draw() for _ in range(1000)}
    assert len(drawn) == 1000
    assert all(f"{serial:040x}".startswith(prefix or "") for serial in drawn)
