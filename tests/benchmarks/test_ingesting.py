import gzip
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.ingesting import fleet_events, fold_in_python, to_json_lines, to_parquet
from fleet.lake.fold import fold


def test_both_ways_to_store_hold_every_reading() -> None:
    events = fleet_events(4, 6)
    (file,) = to_parquet(events)
    assert file.readings == pq.read_table(BytesIO(file.content)).num_rows == 4 * 6 * 5
    assert len(gzip.decompress(to_json_lines(events)).splitlines()) == 4 * 6 * 5


def test_devices_of_the_benchmark_do_not_all_say_the_same() -> None:
    (file,) = to_parquet(fleet_events(4, 1))
    table = pq.read_table(BytesIO(file.content))
    assert len(set(table.column("exact").to_pylist())) > 10, "or the size would be that of one device"


def test_both_ways_to_fold_leave_as_many() -> None:
    (file,) = to_parquet(fleet_events(3, 2))
    table = pq.read_table(BytesIO(file.content))
    twice = pa.concat_tables([table, table])
    assert fold_in_python(twice.to_pylist()) == fold(twice).table.num_rows == table.num_rows
