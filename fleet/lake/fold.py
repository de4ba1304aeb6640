"""Each reading once: what every reader of the lake has to do, done in one place.

Delivery is at least once, and batches may overlap. (device, epoch, sequence, channel) names a reading; of several
copies the one received first stays. Copies that do not say the same are a fault of the device: counted, never hidden.
"""

from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from protocol.lake import COLUMNS, KEY

SAYS = ("exact", "unit", "device_time")
"""What two copies of one reading must agree on; the rest tells how they were delivered."""

_TYPES = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "moment": pa.timestamp("ms", "UTC")}
SCHEMA = pa.schema([(name, _TYPES[kind]) for name, kind in COLUMNS.items()])
"""The columns of the lake, as Arrow has them."""


@dataclass(frozen=True)
class Folded:
    """Readings in the order of their keys, and what it took."""

    table: pa.Table
    duplicates: int
    """Copies left out."""
    conflicts: int
    """Of these, how many said something else than the copy that stays."""


def fold(table: pa.Table) -> Folded:
    """The table with each reading once, ordered by device, epoch, sequence and channel; further columns come along."""
    if table.num_rows == 0:
        return Folded(table, 0, 0)
    order = [(name, "ascending") for name in (*KEY, "received", *SAYS)]
    places = pc.sort_indices(table, sort_keys=order)
    # Column by column, and then without the table: a day is large, and lies here twice at most.
    ordered = pa.table([table.column(name).take(places).combine_chunks() for name in table.schema.names], table.schema)
    del table, places
    is_copy = _same_as_before(ordered, KEY)
    is_false = pc.and_(is_copy, pc.invert(_same_as_first(ordered, is_copy)))
    kept = ordered.filter(pc.invert(is_copy))
    return Folded(kept, ordered.num_rows - kept.num_rows, pc.sum(is_false).as_py() or 0)


def _same_as_before(table: pa.Table, names: tuple[str, ...]) -> pa.Array:
    """For each line, whether it equals the one before it in these columns."""
    equal = [
        pc.equal(_column(table, name).slice(1), _column(table, name).slice(0, table.num_rows - 1)) for name in names
    ]
    return pa.concat_arrays([pa.array([False]), reduce(pc.and_, equal)])


def _same_as_first(table: pa.Table, is_copy: pa.Array) -> pa.Array:
    """For each line, whether it says what the first copy of its reading says."""
    positions = pa.array(range(table.num_rows), pa.int64())
    first = pc.fill_null_forward(pc.if_else(is_copy, pa.scalar(None, pa.int64()), positions))
    equal = [pc.equal(_column(table, name), _column(table, name).take(first)) for name in SAYS]
    return reduce(pc.and_, equal)


def _column(table: pa.Table, name: str) -> pa.Array:
    chunks = table.column(name)
    return chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()
