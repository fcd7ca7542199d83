"""Records files: their kinds, by the end of the name, and their rows, one by one.

.jsonl      a JSON object in each line
.jsonl.gz   the same, compressed in members: readable up to the last one that is whole
.parquet    columns (the extra `parquet`); made from rows when all are there
"""

import zlib
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from astrometer.measure.records.exchange_row import COLUMNS, Row
from astrometer.outside_text import read_json
from astrometer.user_error import UserError

ENDS = (".jsonl", ".jsonl.gz", ".parquet")
COLUMNS_END = ".parquet"
EXTRA = "needs the extra parquet: pip install pyarrow"
MOST_LINE_BYTES = 1_000_000
T = TypeVar("T")
_NEEDED = frozenset({"run", "operation", "outcome", "measured", "t_send_s"})
_PART_BYTES = 1 << 20
_GROUP_ROWS = 20_000  # of columns
_BATCH_ROWS = 1_000  # that are dicts at a time: a row takes some kilobytes as one


class RecordsError(UserError):
    """A records file that cannot be read, with the file and the reason."""


def named(text: str) -> Path:
    """The path of a records file to write. Raises ValueError for a name of no kind."""
    if not text.endswith(ENDS) or text.endswith(tuple(f"/{end}" for end in ENDS)):
        raise ValueError(f"{text!r}: its name must end in {', '.join(ENDS[:-1])} or {ENDS[-1]}")
    return Path(text)


def is_of_columns(path: Path) -> bool:
    return path.name.endswith(COLUMNS_END)


def lacks(path: Path) -> str | None:
    """What has to be installed before that file can be written; None: nothing."""
    return EXTRA if is_of_columns(path) and find_spec("pyarrow") is None else None


def is_compressed(path: Path) -> bool:
    """Whether rows for that file are kept compressed."""
    return not path.name.endswith(".jsonl")


def rows_of_columns(path: Path) -> Path:
    """Where the rows are kept until a file of columns is made of them."""
    return path.with_name(f"{path.name}.rows.jsonl.gz")


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, in its order. A last line that is not whole is left out. Raises RecordsError.

    Of a file of columns that was not made yet, or never will be, those that were kept for it.
    """
    if is_of_columns(path) and not path.exists() and rows_of_columns(path).exists():
        path = rows_of_columns(path)
    try:
        if is_of_columns(path):
            yield from _read_columns(path)
        else:
            yield from _parsed(path)
    except (OSError, zlib.error) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise RecordsError(f"{path}: cannot be read ({why})") from exc


def to_columns(rows: Path, path: Path) -> None:
    """Make a file of columns, whole or not at all. Raises OSError, RecordsError."""
    import pyarrow as pa  # noqa: PLC0415 (an extra)
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    place, moments = schema.get_field_index("at"), pa.timestamp("us", "UTC")
    partial = path.with_name(path.name + ".part")
    try:
        of_file = schema.set(place, pa.field("at", moments))
        with pq.ParquetWriter(partial, of_file, compression="zstd") as writer:
            found = read_rows(rows)
            batches = (pa.RecordBatch.from_pylist(batch, schema) for batch in _batches(found, _BATCH_ROWS))
            for group in _batches(batches, _GROUP_ROWS // _BATCH_ROWS):
                table = pa.Table.from_batches(group)
                at = pc.round(pc.multiply(table["at"], 1e6)).cast(pa.int64()).cast(moments)
                writer.write_table(table.set_column(place, "at", at))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _read_columns(path: Path) -> Iterator[Row]:
    if (missing := lacks(path)) is not None:
        raise RecordsError(f"{path}: {missing}")
    import pyarrow as pa  # noqa: PLC0415 (an extra)
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path) as file:
            if not {*file.schema_arrow.names} >= _NEEDED | {"at"}:
                raise RecordsError(f"{path}: not records of exchanges")
            place = file.schema_arrow.get_field_index("at")
            for found in file.iter_batches(batch_size=_BATCH_ROWS):
                at = pc.divide(found["at"].cast(pa.int64()).cast(pa.float64()), 1e6)
                batch = found.set_column(place, "at", at)
                # Most columns are of other kinds of exchanges.
                known = [name for name in batch.schema.names if batch[name].null_count < len(batch)]
                for row in batch.select(known).to_pylist():
                    yield {name: value for name, value in row.items() if value is not None}
    except pa.ArrowException as exc:
        raise RecordsError(f"{path}: not a Parquet file ({exc})") from exc


def _parsed(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), 1):
        try:
            row: Any = read_json(line)
        except ValueError as exc:
            raise RecordsError(f"{path}: line {number}: not valid JSON ({exc})") from exc
        if not isinstance(row, dict) or not row.keys() >= _NEEDED:
            raise RecordsError(f"{path}: line {number}: not a record of an exchange")
        yield row


def _lines(path: Path) -> Iterator[bytes]:
    """Those that end with a newline."""
    rest = b""
    for part in _parts(path):
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MOST_LINE_BYTES:
            raise RecordsError(f"{path}: a line of more than {MOST_LINE_BYTES} bytes")
        yield from (line for line in lines if line)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        if not path.name.endswith(".gz"):
            while part := file.read(_PART_BYTES):
                yield part
            return
        unpacker = zlib.decompressobj(wbits=31)
        while packed := file.read(_PART_BYTES):
            while packed:
                yield unpacker.decompress(packed, 8 * _PART_BYTES)
                packed = unpacker.unconsumed_tail or unpacker.unused_data
                if unpacker.eof:  # the next member
                    unpacker = zlib.decompressobj(wbits=31)
