"""The room really runs out, at every size a file can have: a write is cut off in its middle, and the next is refused.

An injected ENOSPC fails a whole call. Here the kernel itself takes the first bytes of it (RLIMIT_FSIZE).
"""

import pytest

from tests.faults.bench import Bench
from tests.faults.judge import left_behind
from tests.faults.works import BATCHES, ISSUANCES, Work

pytestmark = pytest.mark.judge

ROOM_BYTES = (400, 700, 1_000, 1_500, *range(2_000, 50_000, 3_000), 1_000_000)
"""Words on standard error need 300, a bundle's files have 700 to 7,000, a page of the ledger 4,096, its log 40,000."""


@pytest.mark.parametrize("work", [*ISSUANCES, BATCHES[1]], ids=lambda work: work.name)
def test_out_of_room_it_fails_in_words_and_goes_on_when_there_is_room_again(work: Work, bench: Bench) -> None:
    codes, broken = [], {}
    for room in ROOM_BYTES:
        factory = bench.factory(is_first=work.is_first)
        ran = bench.run(factory, work.order(factory), largest_file_bytes=room)
        codes.append(ran.code)
        found = work.broken(factory, [ran]) + work.unconverged(factory) + left_behind(factory)
        if found:
            broken[room] = found
    assert broken == {}
    assert (codes[0], codes[-1]) == (1, 0), "there was too little at first, and enough in the end"
    assert codes.count(1) > len(codes) // 3
