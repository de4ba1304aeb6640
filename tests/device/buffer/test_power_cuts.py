import json
import shutil
from pathlib import Path
from random import Random

import pytest

from device.buffer.capacity import MIN_BYTES
from device.buffer.row import Priority, Reason
from device.buffer.store_file import STORE_FILE
from tests.device.buffer.appending import payload
from tests.device.buffer.opened import Bench, drain
from tests.device.buffer.power import Promises, replay, run
from tests.power import TRACE

pytestmark = pytest.mark.judge

LARGE = 4 * 1024 * 1024


def broken_promise(
    folder: Path, promises: Promises, *, is_ring_full: bool = False, may_be_damaged: bool = False
) -> str | None:
    """What was promised and is not so; None when all is. A full ring owes what is newer than the oldest it has."""
    bench = Bench(folder, total_bytes=LARGE)
    buffer = bench.open()
    found = drain(buffer)
    buffer.close()
    sequences = [sequence for _, sequence, _ in found]
    if bench.told("buffer_quarantined") and not may_be_damaged:
        return "a power cut damaged the file"
    if sequences != sorted(set(sequences)):
        return "the order changed, or a number came twice"
    if any(row != payload(sequence) for _, sequence, row in found):
        return "a row is not what was written"
    if any(epoch != promises.epoch + Priority.NORMAL for epoch, _, _ in found) or buffer.epoch <= promises.epoch:
        return "an epoch came twice"
    oldest = min(sequences, default=0) if is_ring_full else 0
    if lost := {owed for owed in promises.owed if owed >= oldest} - set(sequences):
        return f"{len(lost)} rows acknowledged by the buffer are lost"
    return None


def first_broken_promise(
    folder: Path, variant: str, steps: int, shares: tuple[float, ...], total_bytes: int = LARGE
) -> tuple[str | None, int]:
    """Cut the power after every call of one traced run; the first promise that some cut breaks, and how many cuts."""
    at_work, trace, cut = folder / "work", folder / "trace", folder / "cut"
    at_work.mkdir()
    told = run(at_work, total_bytes=total_bytes, steps=steps, variant=variant, strace=(str(trace), *TRACE))
    assert (Reason.FULL in told) == (total_bytes < LARGE)
    assert "depth" in told, "the traced process did not finish"
    random, cuts = Random(7), 0  # noqa: S311 - repeatable
    for _, disk, promises in replay(trace, at_work):
        for share in shares:
            shutil.rmtree(cut, ignore_errors=True)
            cut.mkdir()
            for name, content in disk.after_a_cut(random, share).items():
                (cut / name).write_bytes(content)
            cuts += 1
            is_ring_full, may_be_damaged = total_bytes < LARGE, variant == "scribbling"
            if broken := broken_promise(cut, promises, is_ring_full=is_ring_full, may_be_damaged=may_be_damaged):
                return broken, cuts
    return None, cuts


def test_a_power_cut_after_any_call_loses_nothing_and_repeats_no_number(quick: Path) -> None:
    broken, cuts = first_broken_promise(quick, "sound", steps=40, shares=(1.0, 0.0, 0.5))
    assert broken is None
    assert cuts > 1000, "too few writes to have met a checkpoint"


def test_a_power_cut_while_the_oldest_make_room_loses_none_of_the_newer(quick: Path) -> None:
    broken, cuts = first_broken_promise(quick, "lagging", steps=60, shares=(0.0, 0.5), total_bytes=MIN_BYTES)
    assert broken is None
    assert cuts > 500


def test_a_power_cut_while_a_damaged_file_is_mended_costs_no_row(quick: Path) -> None:
    broken, cuts = first_broken_promise(quick, "scribbling", steps=5, shares=(1.0, 0.0, 0.5))
    assert broken is None
    assert cuts > 200


@pytest.mark.parametrize("variant", ["unsynchronized", "hasty"])
def test_a_buffer_without_synchronization_or_too_quick_with_its_word_is_caught(quick: Path, variant: str) -> None:
    broken, _ = first_broken_promise(quick, variant, steps=12, shares=(0.0,))
    assert broken is not None
    assert "acknowledged by the buffer are lost" in broken


def test_the_log_is_told_to_keep_a_group_before_the_group_is_acknowledged(tmp_path: Path) -> None:
    at_work = tmp_path / "work"
    at_work.mkdir()
    run(at_work, total_bytes=LARGE, steps=15, strace=(str(tmp_path / "trace"), *TRACE))
    promised = 0
    for _, disk, promises in replay(tmp_path / "trace", at_work):
        if len(promises.durable) > promised:
            assert f"{STORE_FILE}-wal" not in disk.waiting(), "acknowledged while its write waits in the kernel"
            promised = len(promises.durable)
    assert promised > 100


@pytest.mark.parametrize("write", [1, 2, 9, 40, 77, 111, 150, 203])
def test_killed_at_a_write_it_goes_on_with_all_it_had_acknowledged(tmp_path: Path, write: int) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    kill = ("/dev/null", "-e", "trace=pwrite64", "-e", f"inject=pwrite64:signal=KILL:when={write}")
    told = run(folder, total_bytes=LARGE, steps=60, strace=kill)
    assert "depth" not in told, "it was to be killed"
    promises = Promises()
    for line in told.splitlines():
        promises.hear(line)
    assert broken_promise(folder, promises) is None


@pytest.mark.parametrize(
    ("call", "error"), [("pwrite64", "ENOSPC"), ("pwrite64", "EROFS"), ("pwrite64", "EIO"), ("fdatasync", "EIO")]
)
def test_flash_that_refuses_for_a_while_is_told_and_nothing_is_lost(tmp_path: Path, call: str, error: str) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    window = "when=60..75" if call == "pwrite64" else "when=20..25"
    refuse = ("/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:{window}")
    told = run(folder, total_bytes=LARGE, steps=60, strace=refuse).splitlines()
    events = [json.loads(line)["event"] for line in told if line.startswith("{")]
    assert events == ["buffer_unavailable", "buffer_available"]
    promises = Promises()
    for line in told:
        promises.hear(line.replace("waiting", "durable"))
    assert told[-1].startswith("depth"), "the agent goes on"
    assert broken_promise(folder, promises) is None, "what waited in memory was stored once the flash took it again"


def test_reads_that_fail_for_a_while_put_no_sound_file_aside(tmp_path: Path) -> None:
    """SQLite says of EIO that the file is malformed. Of 23 reads of the file the 6th to the 20th fail."""
    folder = tmp_path / "work"
    folder.mkdir()
    file = ("-P", str(folder / STORE_FILE))
    refuse = ("/dev/null", *file, "-e", "trace=pread64", "-e", "inject=pread64:error=EIO:when=6..20")
    told = run(folder, total_bytes=LARGE, steps=60, variant="uncached", strace=refuse).splitlines()
    assert [json.loads(line)["event"] for line in told if line.startswith("{")] == [
        "buffer_unavailable", "buffer_available"
    ]  # fmt: skip
    promises = Promises()
    for line in told:
        promises.hear(line.replace("waiting", "durable"))
    assert told[-1].startswith("depth"), "the agent goes on"
    assert broken_promise(folder, promises) is None


def test_flash_that_is_full_from_the_first_write_on_is_told_and_rows_go_through_memory(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    refuse = ("/dev/null", "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=1+")
    told = run(folder, total_bytes=MIN_BYTES, steps=6, strace=refuse).splitlines()
    assert [json.loads(line)["event"] for line in told if line.startswith("{")] == ["buffer_unavailable"]
    assert not [line for line in told if line.startswith("durable")], "nothing is called durable"
    assert [line for line in told if line.startswith("delivered")]
