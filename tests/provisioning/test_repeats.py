"""What a batch remembers of its rows: which repeat another, and how many must change."""

from hypothesis import given
from hypothesis import strategies as st

from provisioning.bulk.duplicates import Seen
from provisioning.bulk.problems import SHOWN, Problem, Problems


@given(values=st.lists(st.sampled_from([b"", b"a", b"b", b"\0", b"\0\0", b"c"])), cut=st.integers(0, 8))
def test_each_line_that_repeats_names_the_first_with_its_value_whatever_order_parts_come_in(
    values: list[bytes], cut: int
) -> None:
    whole, rest = Seen(), Seen()
    for line, value in enumerate(values):
        (rest if line < cut else whole).add(value, line)
    whole.take(rest)
    found = whole.repeats()
    told = dict(zip(found.lines.tolist(), found.firsts.tolist(), strict=True))
    assert told == {line: values.index(value) for line, value in enumerate(values) if values.index(value) < line}
    assert list(told) == sorted(told)


def test_the_first_problems_are_kept_in_words_and_every_row_is_counted_once() -> None:
    found, part = Problems(), Problems()
    assert not found
    for line in range(4 * SHOWN, 0, -1):
        (found if line % 2 else part).add(Problem(line, "model", "no model"))
    found.take(part)
    found.add(Problem(1, "csr", "no request"))
    assert (found.rows, found.is_more_than_shown) == (4 * SHOWN, True)
    assert [each.line for each in found.first] == [1, 1, *range(2, SHOWN)]
